import type { StopReport } from './supervise-process.ts';

/** A part of the stack. Those with the same `together` mark stop at the same time. */
export interface Stoppable {
  stop(): Promise<StopReport | StopReport[] | void>;
  together?: string;
}

/**
 * Stops the parts backwards, each after the one that was started after it, and every one even if another fails.
 * Rejects at the end with the failures.
 */
export async function stopInOrder(started: readonly Stoppable[]): Promise<StopReport[]> {
  const reports: StopReport[] = [];
  const failures: unknown[] = [];
  for (const group of groupsOf(started.toReversed())) {
    for (const outcome of await Promise.allSettled(group.map((part) => part.stop()))) {
      if (outcome.status === 'rejected') failures.push(outcome.reason);
      else if (outcome.value) reports.push(...[outcome.value].flat());
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `not all stopped: ${failures.map(String).join('; ')}`);
  return reports;
}

function groupsOf(parts: readonly Stoppable[]): Stoppable[][] {
  const groups: Stoppable[][] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    const belongsToLast = part.together !== undefined && last?.[0]?.together === part.together;
    if (belongsToLast) last?.push(part);
    else groups.push([part]);
  }
  return groups;
}
