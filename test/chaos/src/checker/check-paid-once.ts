import type { ApiStep, Evidence } from '../observer/evidence.ts';
import type { ProviderCall } from '../observer/journals.ts';
import { readTag } from '../observer/provider-journal.ts';
import type { Finding } from './check.ts';
import { isLossExplained } from './explained-by.ts';

/**
 * I3. Calls that the provider completed, per step: as many as the ledger has paid answers of it (one, and one for each
 * repair). Each further one is a call whose answer the provider itself spoiled, or the step is marked `ambiguous` and a
 * fault landed that can have lost this call's answer; fewer never. The ledger knows every call that was made.
 */
export function checkPaidOnce(evidence: Evidence): Finding[] {
  const calls = Map.groupBy(
    evidence.provider.filter((call) => call.step !== null),
    (call) => call.step ?? '',
  );
  const steps = new Map<string, ApiStep>(
    evidence.jobs.flatMap(({ job, steps: list }) =>
      list.map((step) => [`${job.id}/${step.key}`, step] as const),
    ),
  );
  const unknown = [...calls].flatMap(([name, made]) =>
    steps.has(name)
      ? []
      : [{ about: name, what: `${made.length} calls were made, and there is no such step` }],
  );
  return [
    ...unknown,
    ...[...steps].flatMap(([name, step]) => checkStep(name, step, calls.get(name) ?? [], evidence)),
  ];
}

function checkStep(
  name: string,
  step: ApiStep,
  calls: readonly ProviderCall[],
  evidence: Evidence,
): Finding[] {
  const findings: Finding[] = [];
  const completed = calls.filter((call) => call.end?.status === 200 && call.end.finished);
  const paid = step.attempts.filter((attempt) => attempt.status === 'completed');
  if (step.status === 'completed' && completed.length === 0) {
    findings.push({ about: name, what: 'is completed, and the provider completed no call for it' });
  }
  const unexcused = furtherCalls(step, completed).filter((call) => !isExcused(call, step, calls, evidence));
  if (unexcused.length > 0) {
    const mark = step.ambiguous ? 'ambiguous, but no fault explains it' : 'not marked ambiguous';
    const which = unexcused.map((call) => call.stepId).join(', ');
    findings.push({
      about: name,
      what: `was completed ${completed.length} times by the provider, ${mark} (${which})`,
    });
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

/** The completed calls beyond the one, and one for each repair: the answer is that of the last claim which was paid. */
function furtherCalls(step: ApiStep, completed: readonly ProviderCall[]): ProviderCall[] {
  const repairs = step.attempts.filter((attempt) => attempt.purpose === 'repair').length;
  const paid = new Set(
    step.attempts.flatMap((attempt) => (attempt.status === 'completed' ? [attempt.request_tag] : [])),
  );
  const isPaid = (call: ProviderCall): number => (paid.has(call.stepId ?? '') ? 1 : 0);
  return completed.toSorted((a, b) => isPaid(b) - isPaid(a) || bySending(b, a)).slice(1 + repairs);
}

function isExcused(
  call: ProviderCall,
  step: ApiStep,
  calls: readonly ProviderCall[],
  evidence: Evidence,
): boolean {
  if (call.end?.fault != null) return true;
  if (!step.ambiguous) return false;
  const inOrder = calls.toSorted(bySending);
  const place = inOrder.indexOf(call);
  const next = inOrder[place + 1];
  if (next) return isLossExplained(call, next.at, evidence);
  // The answer of an earlier one was taken after all: what matters is why this one was sent.
  const before = inOrder[place - 1];
  return before !== undefined && isLossExplained(before, call.at, evidence);
}

function bySending(a: ProviderCall, b: ProviderCall): number {
  return (
    (readTag(a)?.fence ?? 0) - (readTag(b)?.fence ?? 0) ||
    Date.parse(a.at) - Date.parse(b.at) ||
    a.sequence - b.sequence
  );
}
