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

/**
 * Decides for one target. Pure. A batch is submitted when it is full, when its oldest step has waited long enough, or when
 * a deadline demands it. Few requests of a new shape need no trial: they are the trial.
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
    tryShapes: shapes(groups.filter((group) => group.trial === 'untried' && needsTrial(group))),
    refusedShapes: shapes(groups.filter((group) => group.trial === 'refused')),
    submitShapes: isTime(ready, rules) ? shapes(ready) : [],
  };
}

function shapes(groups: readonly CollectedGroup[]): string[] {
  return groups.map((group) => group.shape);
}

function isTime(groups: readonly CollectedGroup[], rules: CollectionRules): boolean {
  if (groups.length === 0) return false;
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  if (count >= rules.fullAt) return true;
  if (groups.some((group) => rules.now - group.oldestAt >= rules.collectAgeMs)) return true;
  return groups.some((group) => group.escapeAt !== null && group.escapeAt - rules.now <= rules.takesMs);
}
