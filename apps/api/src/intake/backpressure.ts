import { findPressure } from '@millrace/capacity';
import type { FitsBatch } from '@millrace/capacity';
import { ProblemError } from '@millrace/contracts';
import type { LaneChoice, PlanNode, Priority, ScalingPlan } from '@millrace/contracts';
import { callsInARow } from './calls-in-a-row.ts';
import { poolsOfPlan } from './pools-of-plan.ts';
import type { PoolsOf } from './pools-of-plan.ts';

/** What is looked at of a job that is to be let in. */
export interface ArrivingJob {
  priority: Priority;
  plan: PlanNode;
  lane: LaneChoice;
  /** In ms; null without a deadline. */
  timeLeftMs: number | null;
  /** Whether the tenant's data may lie in a provider's batch. */
  batchAllowed: boolean;
}

/** Refuses work that would only wait: throws `queue_full` with the time after which its pool should have room. */
export type Backpressure = (job: ArrivingJob) => void;

/**
 * Keeps new work outside while a pool that it needs is so far behind that a more urgent class, or its own, would miss its
 * bound. By the fleet's plan, which is a second or two old; without one everything is let in. So are calls that will ride in a
 * provider's batch: they take nothing of what the pools run in realtime.
 */
export function createBackpressure(options: {
  currentPlan: () => ScalingPlan | null;
  poolsOf: PoolsOf;
  fitsBatch: FitsBatch;
  boundMs: Readonly<Record<Priority, number>>;
}): Backpressure {
  return (job) => {
    const fleet = options.currentPlan();
    if (!fleet) return;
    const { priority, plan } = job;
    const patient = { ...job, callsInARow: callsInARow(plan) };
    const realtimePoolsOf: PoolsOf = (call) =>
      options.fitsBatch(call, patient) ? [] : options.poolsOf(call);
    const pressures = poolsOfPlan(plan, realtimePoolsOf).flatMap(
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
