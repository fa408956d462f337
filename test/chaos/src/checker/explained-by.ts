import type { FaultEntry, ProviderCall } from '../observer/journals.ts';

/** Two clocks of one machine, and the time between a line in a journal and what it speaks of. */
const SLACK_MS = 1_000;

/** Whether a fault landed while these calls of one step were made: only then may there be more than one. */
export function isExplained(calls: readonly ProviderCall[], faults: readonly FaultEntry[]): boolean {
  return calls.some((call) => call.end?.fault != null) || isInterfered(calls, faults);
}

/** Whether somebody broke something while these calls were made; that the provider refused one of them is no such thing. */
export function isInterfered(calls: readonly ProviderCall[], faults: readonly FaultEntry[]): boolean {
  const first = Math.min(...calls.map((call) => Date.parse(call.at)));
  const last = Math.max(...calls.map((call) => Date.parse(call.at)));
  return faults.some(
    (fault) =>
      fault.landed &&
      Date.parse(fault.startAt) <= last + SLACK_MS &&
      Date.parse(fault.endAt) >= first - SLACK_MS,
  );
}
