import type { ApiStep, Evidence } from '../observer/evidence.ts';
import type { ProviderCall } from '../observer/journals.ts';
import type { Finding } from './check.ts';
import { isExplained } from './explained-by.ts';

/**
 * I3. Calls that the provider completed, per step: as many as the ledger has paid answers of it (one, and one for each
 * repair). More are allowed only where the step is marked `ambiguous` and a fault landed meanwhile; fewer never. The
 * ledger knows every call that was made.
 */
export function checkPaidOnce({ provider, jobs, faults }: Evidence): Finding[] {
  const calls = Map.groupBy(
    provider.filter((call) => call.step !== null),
    (call) => call.step ?? '',
  );
  const steps = new Map<string, ApiStep>(
    jobs.flatMap(({ job, steps: list }) => list.map((step) => [`${job.id}/${step.key}`, step] as const)),
  );
  const unknown = [...calls].flatMap(([name, made]) =>
    steps.has(name)
      ? []
      : [{ about: name, what: `${made.length} calls were made, and there is no such step` }],
  );
  return [
    ...unknown,
    ...[...steps].flatMap(([name, step]) => checkStep(name, step, calls.get(name) ?? [], faults)),
  ];
}

function checkStep(
  name: string,
  step: ApiStep,
  calls: readonly ProviderCall[],
  faults: Evidence['faults'],
): Finding[] {
  const findings: Finding[] = [];
  const completed = calls.filter((call) => call.end?.status === 200 && call.end.finished);
  const paid = step.attempts.filter((attempt) => attempt.status === 'completed');
  if (step.status === 'completed' && completed.length === 0) {
    findings.push({ about: name, what: 'is completed, and the provider completed no call for it' });
  }
  const repairs = step.attempts.filter((attempt) => attempt.purpose === 'repair').length;
  const extra = completed.length - 1 - repairs;
  const isOwned = step.ambiguous && isExplained(calls, faults);
  const isAnswerFault = completed.some((call) => call.end?.fault != null);
  if (extra > 0 && !isOwned && !isAnswerFault) {
    const mark = step.ambiguous ? 'ambiguous, but no fault explains it' : 'not marked ambiguous';
    findings.push({ about: name, what: `was completed ${completed.length} times by the provider, ${mark}` });
  }
  if (paid.length > completed.length) {
    findings.push({
      about: name,
      what: `has ${paid.length} paid answers of ${completed.length} completed calls`,
    });
  }
  const known = new Set(step.attempts.map((attempt) => attempt.request_tag));
  for (const call of calls) {
    if (!known.has(call.stepId ?? '')) {
      findings.push({ about: call.stepId ?? name, what: 'was sent, and the ledger has no attempt of it' });
    }
  }
  return findings;
}
