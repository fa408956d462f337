import type { CollectedGroup } from '@millrace/ledger';

/** What is to be done with what is collected for one target. */
export interface CollectionPlan {
  target: string;
  /** Shapes of which one request is to be tried first. */
  tryShapes: string[];
  /** Shapes that the provider has refused: their steps go to realtime, each with its own error. */
  refusedShapes: string[];
  /** Shapes whose steps may be submitted; empty when it is not yet time. */
  submitShapes: string[];
}

export interface CollectionRules {
  collectAgeMs: number;
  pilotFrom: number;
  /** Lines that make a batch full. */
  fullAt: number;
  /** Within which time a batch of the target is answered. */
  takesMs: number;
  now: number;
}

/** With a deadline that cannot be met any more each look would submit what it finds: 720 batches an hour are the most that come of it. */
const GATHERING_MS = 5_000;
const FIRST_PILOT_WAIT_MS = 1_000;
const LONGEST_PILOT_WAIT_MS = 10 * 60_000;

/**
 * Decides for one target. Pure. A batch is submitted when it is full, when its oldest step has waited long enough, or soon
 * when a deadline demands it. Few requests of a new shape need no trial: they are the trial. A trial pays the full price, so that one
 * that told nothing is followed by the next one only after a while, ever longer.
 */
export function planCollection(
  target: string,
  groups: readonly CollectedGroup[],
  rules: CollectionRules,
): CollectionPlan {
  const needsTrial = (group: CollectedGroup): boolean =>
    group.trial === 'trying' || (group.trial === 'untried' && group.count >= rules.pilotFrom);
  const ready = groups.filter((group) => group.trial !== 'refused' && !needsTrial(group));
  return {
    target,
    tryShapes: shapes(groups.filter((group) => needsTrial(group) && mayTry(group, rules.now))),
    refusedShapes: shapes(groups.filter((group) => group.trial === 'refused')),
    submitShapes: isTime(ready, rules) ? shapes(ready) : [],
  };
}

function shapes(groups: readonly CollectedGroup[]): string[] {
  return groups.map((group) => group.shape);
}

function mayTry({ trial, undecided, triedAt }: CollectedGroup, now: number): boolean {
  if (trial !== 'untried') return false;
  if (undecided === 0 || triedAt === null) return true;
  return now - triedAt >= Math.min(LONGEST_PILOT_WAIT_MS, FIRST_PILOT_WAIT_MS * 2 ** (undecided - 1));
}

function isTime(groups: readonly CollectedGroup[], rules: CollectionRules): boolean {
  if (groups.length === 0) return false;
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  if (count >= rules.fullAt) return true;
  const { now, takesMs, collectAgeMs } = rules;
  const isDemanded = groups.some(({ escapeAt }) => escapeAt !== null && escapeAt - now <= takesMs);
  const waitMs = isDemanded ? Math.min(GATHERING_MS, collectAgeMs) : collectAgeMs;
  return groups.some(({ oldestAt }) => now - oldestAt >= waitMs);
}
