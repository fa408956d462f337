import type { Evidence } from '../observer/evidence.ts';
import type { FaultEntry } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * By when something must have gone on after a fault, by whom it hit. The goals name no limit for the scheduler; a provider
 * batch that died on its way is looked for twice before it is made again, which takes 22 s.
 */
const limitsMs: Readonly<Record<string, number>> = {
  worker: 20_000,
  scheduler: 30_000,
  api: 5_000,
  redis: 15_000,
  postgres: 15_000,
};

/** I12. After each fault of the run that landed, the run's work goes on in time, unless there was none left to do. */
export function checkRecovery(evidence: Evidence): Finding[] {
  return evidence.faults.flatMap((fault) => {
    const limitMs = limitsMs[fault.target];
    if (!fault.landed || fault.run !== evidence.run || limitMs === undefined) return [];
    const tookMs = recoveryMs(fault, evidence);
    if (tookMs === null || tookMs <= limitMs) return [];
    return [{ about: fault.id, what: `first progress after ${tookMs} ms; ${limitMs} are allowed` }];
  });
}

/**
 * From the end of a fault to the first sign that the run goes on: a submission answered (all that an API's death can be
 * judged by), a call at the provider, an event of a job, a webhook. Null when there was nothing left to do.
 */
export function recoveryMs(fault: FaultEntry, evidence: Evidence): number | null {
  const endAt = Date.parse(fault.endAt);
  const after = signs(fault, evidence).filter((at) => at > endAt);
  return after.length === 0 ? null : Math.min(...after) - endAt;
}

function signs(fault: FaultEntry, { client, provider, jobs, sink }: Evidence): number[] {
  const answers = client.flatMap((entry) => (entry.kind === 'ok' ? [Date.parse(entry.at)] : []));
  // What nobody asked for cannot be late.
  if (fault.target === 'api') return wasAsked(fault, client) ? answers : [];
  const calls = provider.flatMap((call) => (call.stepId === null ? [] : [Date.parse(call.at)]));
  // Answers that were on their way, and webhooks' retries, need neither store: only new calls say that work goes on.
  if (fault.target === 'redis' || fault.target === 'postgres') return calls;
  return [
    ...calls,
    ...jobs.flatMap(({ events }) =>
      events.flatMap((event) => (event.at === null ? [] : [Date.parse(event.at)])),
    ),
    ...sink.map((entry) => Date.parse(entry.at)),
  ];
}

const ASKED_WITHIN_MS = 1_000;

/** Whether somebody waited for an answer about when the fault ended. */
function wasAsked(fault: FaultEntry, client: Evidence['client']): boolean {
  const endAt = Date.parse(fault.endAt);
  const answered = new Set(
    client.flatMap((entry) =>
      (entry.kind === 'ok' || entry.kind === 'fail') && Date.parse(entry.at) <= endAt
        ? [`${entry.key} ${entry.try}`]
        : [],
    ),
  );
  return client.some(
    (entry) =>
      entry.kind === 'invoke' &&
      !answered.has(`${entry.key} ${entry.try}`) &&
      Math.abs(Date.parse(entry.at) - endAt) <= ASKED_WITHIN_MS,
  );
}
