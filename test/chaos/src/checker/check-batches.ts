import type { Evidence } from '../observer/evidence.ts';
import type { ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * I15. No step is a line of two provider batches unless it is marked ambiguous; a line that the provider answered is the
 * step's outcome (unless the step left the lane first), and is recorded once.
 */
export function checkBatches({ provider, jobs }: Evidence): Finding[] {
  const lines = Map.groupBy(
    provider.filter((call) => call.batchId !== null && call.method === 'BATCH'),
    (call) => (call.stepId ?? '').replace(/#\d+$/, ''),
  );
  return jobs.flatMap(({ job, steps }) =>
    steps.flatMap((step) => {
      const name = `${job.id}/${step.key}`;
      const own = lines.get(name) ?? [];
      const findings: Finding[] = [];
      if (batchesOf(own).size > 1 && !step.ambiguous) {
        findings.push({ about: name, what: `is a line of ${batchesOf(own).size} provider batches` });
      }
      const answered = own.filter((call) => call.end?.finished === true && call.end.status === 200);
      const recorded = step.attempts.filter((attempt) => attempt.status === 'completed').length;
      if (
        answered.length > 0 &&
        step.lane === 'batch' &&
        step.status !== 'completed' &&
        step.status !== 'cancelled'
      ) {
        findings.push({ about: name, what: `its line was answered and it is ${step.status}` });
      }
      if (own.length > 0 && recorded > 1 && !step.ambiguous) {
        findings.push({ about: name, what: `its line was recorded ${recorded} times` });
      }
      return findings;
    }),
  );
}

function batchesOf(calls: readonly ProviderCall[]): ReadonlySet<string | null> {
  return new Set(calls.map((call) => call.batchId));
}
