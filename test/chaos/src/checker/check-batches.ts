import type { ApiStep, Evidence } from '../observer/evidence.ts';
import type { ProviderBatch, ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';
import { isLossExplained } from './explained-by.ts';

/**
 * I15. No provider batch was created twice, whatever its steps say; no step is a line of two batches that were both answered,
 * unless it is marked ambiguous and the vendor withheld the first answer; each line that the provider answered or refused is
 * the end of the attempt that it was sent as, or the vendor withheld it; nothing is recorded twice; and there is no line that
 * no step knows.
 */
export function checkBatches(evidence: Evidence): Finding[] {
  const lines = evidence.provider.filter((call) => call.batchId !== null && call.method === 'BATCH');
  const strangers = lines.filter((call) => call.step === null);
  const byStep = Map.groupBy(lines, (call) => call.step ?? '');
  return [
    ...createdTwice(evidence.batches),
    ...strangers.map((call) => ({
      about: `${call.batchId} ${call.stepId}`,
      what: 'is a line that no attempt of the run was sent as',
    })),
    ...evidence.jobs.flatMap(({ job, steps }) =>
      steps.flatMap((step) =>
        checkStep(`${job.id}/${step.key}`, step, byStep.get(`${job.id}/${step.key}`) ?? [], evidence),
      ),
    ),
  ];
}

/** A vendor that took a batch and did not say so is the only excuse. */
function createdTwice(batches: readonly ProviderBatch[]): Finding[] {
  return batches.flatMap((batch, place) => {
    const twin = batches.slice(0, place).find((earlier) => haveSameLines(earlier, batch));
    if (!twin || twin.createFault !== null) return [];
    return [{ about: batch.batchId, what: `was created with the lines of ${twin.batchId}` }];
  });
}

/** By the names of their lines, or, where one of them was not read yet, by what was uploaded. */
export function haveSameLines(a: ProviderBatch, b: ProviderBatch): boolean {
  if (a.customIdsSha256 !== null && b.customIdsSha256 !== null)
    return a.customIdsSha256 === b.customIdsSha256;
  return a.contentSha256 !== '' && a.contentSha256 === b.contentSha256;
}

function checkStep(
  name: string,
  step: ApiStep,
  lines: readonly ProviderCall[],
  evidence: Evidence,
): Finding[] {
  const findings: Finding[] = [];
  const answered = lines.filter((call) => call.end?.finished === true && call.end.status === 200);
  const batches = new Set(answered.map((call) => call.batchId));
  const isExplained = answered
    .slice(0, -1)
    .every((line, place) => isLossExplained(line, answered[place + 1]?.at ?? null, evidence));
  if (batches.size > 1 && !(step.ambiguous && isExplained)) {
    findings.push({ about: name, what: `is a line of ${batches.size} provider batches` });
  }
  const recorded = step.attempts.filter((attempt) => attempt.status === 'completed').length;
  if (lines.length > 0 && recorded > 1 && !step.ambiguous) {
    findings.push({ about: name, what: `its line was recorded ${recorded} times` });
  }
  for (const line of lines) {
    const attempt = step.attempts.find((each) => each.request_tag === line.stepId);
    const hasEnd = line.end !== null && line.end.status !== null;
    if (!hasEnd || !attempt || ['completed', 'failed', 'cancelled'].includes(attempt.status)) continue;
    if (attempt.status === 'ambiguous' && isLossExplained(line, attempt.finished_at, evidence)) continue;
    findings.push({
      about: `${line.stepId}`,
      what: `the provider has an answer to the line, and its attempt is ${attempt.status}`,
    });
  }
  return findings;
}
