import { terminalEvents } from '../observer/evidence.ts';
import type { ApiStep, Evidence, JobRecord } from '../observer/evidence.ts';
import type { StreamedEntry } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * I10. What a follower got over all its connections: ids only grow, every lifecycle event of the record is among them, no
 * other is, the terminal event comes once and last; and the text that it shows in the end is the step's output, which every
 * campaign asks to be streamed. Lines of a provider batch have no live text.
 */
export function checkStreams({ client, provider, jobs, liveText }: Evidence): Finding[] {
  const streamed = Map.groupBy(
    client.filter((entry) => entry.kind === 'event'),
    (entry) => entry.jobId,
  );
  const connected = new Set(client.flatMap((entry) => (entry.kind === 'connected' ? [entry.jobId] : [])));
  const lines = new Set(provider.flatMap((call) => (call.batchId === null ? [] : [call.stepId])));
  return jobs.flatMap((record) => {
    if (!connected.has(record.job.id)) return [];
    const got = streamed.get(record.job.id) ?? [];
    return [
      ...checkOrder(record, got),
      ...checkLifecycle(record, got),
      ...(liveText === 'none' ? [] : checkText(record, got, lines, liveText === 'whole')),
    ];
  });
}

function checkOrder({ job }: JobRecord, got: readonly StreamedEntry[]): Finding[] {
  const backwards = got.find((entry, index) => index > 0 && entry.id <= (got[index - 1]?.id ?? 0));
  const endings = got.filter((entry) => terminalEvents.includes(entry.type));
  const findings: Finding[] = [];
  if (backwards) findings.push({ about: job.id, what: `event ${backwards.id} came twice or out of order` });
  if (endings.length !== 1)
    findings.push({ about: job.id, what: `${endings.length} terminal events were streamed` });
  else if (got.at(-1) !== endings[0])
    findings.push({ about: job.id, what: 'something was streamed after the end' });
  return findings;
}

function checkLifecycle({ job, events }: JobRecord, got: readonly StreamedEntry[]): Finding[] {
  const name = (event: { id: number; type: string }): string => `${event.type} ${event.id}`;
  const recorded = new Set(events.filter((event) => event.type !== 'step.delta').map(name));
  const received = new Set(got.filter((event) => event.type !== 'step.delta').map(name));
  const missing = [...recorded].filter((each) => !received.has(each));
  const invented = [...received].filter((each) => !recorded.has(each));
  return [
    ...missing.map((each) => ({ about: job.id, what: `${each} was never streamed` })),
    ...invented.map((each) => ({ about: job.id, what: `${each} was streamed and is not on record` })),
  ];
}

function checkText(
  { job, steps }: JobRecord,
  got: readonly StreamedEntry[],
  lines: ReadonlySet<string | null>,
  mustBeWhole: boolean,
): Finding[] {
  const shown = new Map<string, string>();
  for (const { type, step, text } of got) {
    if (step === null) continue;
    if (type === 'step.retried') shown.set(step, '');
    if (type === 'step.delta') shown.set(step, (shown.get(step) ?? '') + (text ?? ''));
  }
  const isLine = (step: ApiStep): boolean =>
    step.attempts.some((attempt) => attempt.status === 'completed' && lines.has(attempt.request_tag));
  const isWrong = (step: ApiStep): boolean => {
    const text = shown.get(step.key) ?? '';
    if (step.status !== 'completed' || typeof step.output !== 'string' || isLine(step)) return false;
    return mustBeWhole ? text !== step.output : !step.output.startsWith(text);
  };
  return steps.filter(isWrong).map((step) => ({
    about: `${job.id}/${step.key}`,
    what: `shows ${JSON.stringify(shown.get(step.key) ?? null)} and its output is ${JSON.stringify(step.output)}`,
  }));
}
