import { findPressure } from '@millrace/capacity';
import { ProblemError } from '@millrace/contracts';
import type { PlanNode, Priority, ScalingPlan } from '@millrace/contracts';
import { poolsOfPlan } from './pools-of-plan.ts';
import type { PoolsOf } from './pools-of-plan.ts';

/** Refuses work that would only wait: throws `queue_full` with the time after which its pool should have room. */
export type Backpressure = (priority: Priority, plan: PlanNode) => void;

/**
 * Keeps new work outside while a pool that it needs is so far behind that a more urgent class, or its own, would miss its
 * bound. By the fleet's plan, which is a second or two old; without one everything is let in.
 */
export function createBackpressure(options: {
  currentPlan: () => ScalingPlan | null;
  poolsOf: PoolsOf;
  boundMs: Readonly<Record<Priority, number>>;
}): Backpressure {
  return (priority, plan) => {
    const fleet = options.currentPlan();
    if (!fleet) return;
    const pressures = poolsOfPlan(plan, options.poolsOf).flatMap(
      (pools) => findPressure(fleet, options.boundMs, priority, pools) ?? [],
    );
    const worst = pressures.toSorted((a, b) => b.retryAfterMs - a.retryAfterMs)[0];
    if (!worst) return;
    const { late, retryAfterMs } = worst;
    throw new ProblemError(
      'queue_full',
      `Work of the class "${late}" waits for longer than it may, so no more of "${priority}" is accepted.`,
      { retryAfterMs },
    );
  };
}
