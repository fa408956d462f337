import { findPressure } from '@millrace/capacity';
import { ProblemError } from '@millrace/contracts';
import type { Priority, ScalingPlan } from '@millrace/contracts';

/** Refuses a batch that could not even begin in its window: throws `queue_full` with the time after which it could. */
export type RefuseLateBatch = (windowMs: number) => void;

/** As the scheduler has it: with more time the lines are `background`. */
const PATIENT_MS = 3_600_000;

/**
 * The lines of a batch flow in as the backlog shrinks. Which pools they need nobody knows before they are read, so a batch is
 * refused only when every pool stays too far behind for longer than its window.
 */
export function createRefuseLateBatch(
  currentPlan: () => ScalingPlan | null,
  boundMs: Readonly<Record<Priority, number>>,
): RefuseLateBatch {
  return (windowMs) => {
    const fleet = currentPlan();
    if (!fleet) return;
    const priority = windowMs >= PATIENT_MS ? 'background' : 'standard';
    const pressure = findPressure(fleet, boundMs, priority, Object.keys(fleet.pools));
    if (!pressure || pressure.retryAfterMs <= windowMs) return;
    throw new ProblemError(
      'queue_full',
      `Work of the class "${pressure.late}" waits for longer than it may, and will for longer than this batch's window.`,
      { retryAfterMs: pressure.retryAfterMs },
    );
  };
}
