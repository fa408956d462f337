import type { ApiStep, Evidence } from '../observer/evidence.ts';
import type { ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';
import { isInterfered } from './explained-by.ts';

/**
 * I15. No step is a line of two provider batches that were both answered, unless it is marked ambiguous; each line that the
 * provider answered or refused is the end of the attempt that it was sent as, or its answer was lost to a fault that landed; nothing
 * is recorded twice; and there is no line that no step knows.
 */
export function checkBatches({ provider, jobs, faults }: Evidence): Finding[] {
  const lines = provider.filter((call) => call.batchId !== null && call.method === 'BATCH');
  const strangers = lines.filter((call) => call.step === null);
  const byStep = Map.groupBy(lines, (call) => call.step ?? '');
  return [
    ...strangers.map((call) => ({
      about: `${call.batchId} ${call.stepId}`,
      what: 'is a line that no attempt of the run was sent as',
    })),
    ...jobs.flatMap(({ job, steps }) =>
      steps.flatMap((step) =>
        checkStep(`${job.id}/${step.key}`, step, byStep.get(`${job.id}/${step.key}`) ?? [], faults),
      ),
    ),
  ];
}

function checkStep(
  name: string,
  step: ApiStep,
  lines: readonly ProviderCall[],
  faults: Evidence['faults'],
): Finding[] {
  const findings: Finding[] = [];
  const answered = lines.filter((call) => call.end?.finished === true && call.end.status === 200);
  const batches = new Set(answered.map((call) => call.batchId));
  if (batches.size > 1 && !step.ambiguous) {
    findings.push({ about: name, what: `is a line of ${batches.size} provider batches` });
  }
  const recorded = step.attempts.filter((attempt) => attempt.status === 'completed').length;
  if (lines.length > 0 && recorded > 1 && !step.ambiguous) {
    findings.push({ about: name, what: `its line was recorded ${recorded} times` });
  }
  const ends = ['completed', 'failed', 'cancelled', ...(isInterfered(lines, faults) ? ['ambiguous'] : [])];
  for (const line of lines) {
    const attempt = step.attempts.find((each) => each.request_tag === line.stepId);
    const hasEnd = line.end !== null && line.end.status !== null;
    if (hasEnd && attempt && !ends.includes(attempt.status)) {
      findings.push({
        about: `${line.stepId}`,
        what: `the provider has an answer to the line, and its attempt is ${attempt.status}`,
      });
    }
  }
  return findings;
}
