import { ProblemError } from '@millrace/contracts';
import type { JobOptions, PlanNode } from '@millrace/contracts';
import type { KnownDurations } from '@millrace/ledger';
import { poolsOfPlan } from './pools-of-plan.ts';
import type { PoolsOf } from './pools-of-plan.ts';

/** Throws when a job's lane cannot be had, or cannot keep its deadline and the client would rather hear of it now. */
export type CheckLane = (
  plan: PlanNode,
  wanted: Pick<JobOptions, 'lane' | 'on_late'>,
  timeLeftMs: number | null,
) => void;

/**
 * Checks what the configuration and past batches tell: a job of the lane `batch` is refused when none of its calls has a
 * target with a batch API, and with `on_late: refuse` also when batches are not known to be answered in time. What is known
 * of them may be some seconds old.
 */
export function createCheckLane(options: {
  /** The targets (`provider/model`) that may serve a call. */
  targetsOf: PoolsOf;
  /** Providers that have a batch API. */
  batching: ReadonlySet<string>;
  durations: KnownDurations;
  marginMs: number;
  onError: (error: unknown) => void;
}): CheckLane {
  const { targetsOf, batching, durations, marginMs, onError } = options;
  const canBatch = (target: string): boolean => batching.has(target.slice(0, target.indexOf('/')));

  return (plan, { lane, on_late: onLate }, timeLeftMs) => {
    if (lane !== 'batch') return;
    const calls = poolsOfPlan(plan, targetsOf);
    const targets = calls.flatMap((choices) => choices.filter(canBatch).slice(0, 1));
    if (calls.length > 0 && targets.length === 0) {
      throw refuse('lane', 'no target of this plan has a batch API; use "auto" or "realtime"');
    }
    if (onLate !== 'refuse' || timeLeftMs === null) return;
    // What is asked for now is known the next time; a first request is judged by the cautious belief.
    durations.refresh().catch(onError);
    const slowest = Math.max(
      ...targets.map((target) => durations.expectedMs(target) + durations.marginMs(target, marginMs)),
    );
    if (slowest <= timeLeftMs) return;
    throw refuse(
      'deadline',
      `batches are not known to be answered within it: 99 in 100 take up to ${Math.ceil(slowest / 60_000)} minutes`,
    );
  };
}

function refuse(path: string, message: string): ProblemError {
  return new ProblemError('validation_failed', `${path}: ${message}`, { errors: [{ path, message }] });
}
