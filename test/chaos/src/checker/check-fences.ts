import type { Evidence, JobRecord } from '../observer/evidence.ts';
import { readTag } from '../observer/provider-journal.ts';
import type { ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * I4. The answer of a completed step is that of its last claim: a step that was finished before its last call had been
 * answered was finished by a worker that no longer held it. And the record says of each completed step once that it is.
 */
export function checkFences({ provider, jobs }: Evidence): Finding[] {
  const calls = Map.groupBy(provider, (call) => call.step ?? '');
  return jobs.flatMap((record) => [
    ...record.steps.flatMap((step) => {
      const name = `${record.job.id}/${step.key}`;
      const last = lastCall(calls.get(name) ?? []);
      if (step.status !== 'completed' || step.finished_at === null || !last || last.batchId !== null)
        return [];
      const answeredAt = last.end === null ? Infinity : Date.parse(last.end.at);
      if (Date.parse(step.finished_at) + 5 >= answeredAt) return [];
      return [{ about: name, what: `was finished before its last call (${last.stepId}) was answered` }];
    }),
    ...checkCompletions(record),
  ]);
}

function lastCall(calls: readonly ProviderCall[]): ProviderCall | undefined {
  const fenceOf = (call: ProviderCall): number => readTag(call)?.fence ?? 0;
  return calls.toSorted((a, b) => fenceOf(a) - fenceOf(b)).at(-1);
}

function checkCompletions({ job, steps, events }: JobRecord): Finding[] {
  // Those of a job that has not ended were not read; that it has not is seen elsewhere.
  if (events.length === 0) return [];
  const counts = new Map<string, number>();
  for (const event of events) {
    if (event.type === 'step.completed') counts.set(`${event.step}`, (counts.get(`${event.step}`) ?? 0) + 1);
  }
  const completed = steps.flatMap((step) => (step.status === 'completed' ? [step.key] : []));
  return [...new Set([...completed, ...counts.keys()])].flatMap((step) => {
    const count = counts.get(step) ?? 0;
    return count === 1
      ? []
      : [{ about: `${job.id}/${step}`, what: `was completed ${count} times on record` }];
  });
}
