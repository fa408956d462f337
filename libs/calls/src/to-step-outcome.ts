import type { AttemptEnd, ClaimedStep, NextState, StepOutcome } from '@millrace/ledger';
import type { Outcome } from './outcome.ts';

/** A decision as the ledger records it. `poolOf` names the pool of the target that a step moves to. */
export function toStepOutcome(
  step: ClaimedStep,
  outcome: Outcome,
  attempt: AttemptEnd | null,
  poolOf: (target: string) => string,
): StepOutcome {
  const again = outcome.kind === 'retry' || outcome.kind === 'fall_over' || outcome.kind === 'repair';
  const reason = outcome.kind === 'repair' ? 'output_invalid' : again ? outcome.reason : '';
  return {
    jobId: step.jobId,
    key: step.key,
    fence: step.fence,
    next: toNextState(step, outcome, poolOf),
    attempt,
    retried: again && attempt ? { reason, attempt: attempt.number } : null,
  };
}

function toNextState(step: ClaimedStep, outcome: Outcome, poolOf: (target: string) => string): NextState {
  const pending = { status: 'pending', delayMs: 0, move: null, repair: null, countsAttempt: false } as const;
  switch (outcome.kind) {
    case 'complete':
      return {
        status: 'completed',
        output: outcome.output,
        ...(outcome.degraded ? { degraded: outcome.degraded } : {}),
        ...(outcome.meanLogprob === undefined ? {} : { meanLogprob: outcome.meanLogprob }),
      };
    case 'fail':
      return { status: 'failed', error: { ...outcome.error, step: step.key } };
    case 'hold':
      return { status: 'held', error: { ...outcome.error, step: step.key } };
    case 'retry':
      return { ...pending, delayMs: outcome.delayMs, countsAttempt: outcome.countsAttempt };
    case 'fall_over': {
      const { target, gaveUp, degraded } = outcome;
      const move = { target, pool: poolOf(target), gaveUp, ...(degraded ? { degraded } : {}) };
      return { ...pending, move, countsAttempt: outcome.countsAttempt };
    }
    case 'repair':
      return { ...pending, repair: outcome };
    case 'drop':
      // The fence or the status is not ours any more, so this changes no step; it books what the call has cost.
      return pending;
  }
}
