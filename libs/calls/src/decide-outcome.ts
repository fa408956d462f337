import { decideFailed, decideRefused, retryOrGiveUp } from './decide-failure.ts';
import { decideClosed, decideWait, longWaitMs } from './decide-wait.ts';
import type { AbortReason, Happening } from './happening.ts';
import { fail } from './outcome.ts';
import type { Outcome, OutcomePolicy } from './outcome.ts';
import type { Situation } from './situation.ts';

/**
 * Decides what becomes of a step. Pure; `random` (0 ≤ x < 1) spreads the delays (full jitter). Everything that a person
 * may ask "why was this sent again?" about is answered here.
 */
export function decideOutcome(
  happening: Happening,
  situation: Situation,
  policy: OutcomePolicy,
  random: number,
): Outcome {
  if (situation.lane === 'flex' && isFlexRefused(happening)) return leaveFlex();
  switch (happening.kind) {
    case 'answered':
      return {
        kind: 'complete',
        output: happening.output,
        ...(happening.meanLogprob === undefined ? {} : { meanLogprob: happening.meanLogprob }),
      };
    case 'misfit':
      return decideMisfit(happening, situation, policy);
    case 'refused':
      return decideRefused(happening, situation);
    case 'failed':
      return decideFailed(happening, situation, policy, random);
    case 'aborted':
      return decideAborted(happening.reason);
    case 'lost_answer':
      return situation.ambiguousPolicy === 'hold'
        ? { kind: 'hold', error: { code: 'ambiguous_refused', message: LOST } }
        : { kind: 'retry', delayMs: 0, reason: 'lost_answer', countsAttempt: false, parkMs: null };
    case 'deadly':
      return fail('worker_crashed', 'The worker died each time it ran this step.');
    case 'unreadable':
      return decideUnreadable(happening, random);
    case 'misplaced':
      return moveToItsPool(situation);
    case 'must_wait':
      return decideWait(happening.delayMs, 'capacity', longWaitMs, situation);
    case 'closed':
      return decideClosed(happening.delayMs, situation);
    case 'too_large':
      return decideTooLarge(happening, situation);
    case 'over_cap':
      return fail('cost_cap_exceeded', 'This call could cost more than what is left of max_cost_usd.');
    case 'unpriced':
      return fail(
        'cost_cap_exceeded',
        `There is no price for ${situation.target}, so max_cost_usd cannot be kept.`,
      );
    case 'unexpected':
      return retryOrGiveUp(happening.message, 'provider_bad_answer', situation, policy, random, null);
  }
}

const LOST =
  'The call was sent and its answer was lost; the provider may have billed it. Decide whether to send it again.';

/**
 * OpenAI's flex has no room (429 "Resource Unavailable", not billed), or not for this model (400): the same call is sent in
 * realtime at once, and neither the pool nor the target is to blame.
 */
function isFlexRefused(happening: Happening): boolean {
  if (happening.kind !== 'failed' && happening.kind !== 'refused') return false;
  const { httpStatus, scope, code } = happening.failure;
  return code === 'provider_refused_request' ? httpStatus === 400 : httpStatus === 429 && scope !== 'account';
}

function leaveFlex(): Outcome {
  return { kind: 'retry', delayMs: 0, reason: 'flex_refused', countsAttempt: true, parkMs: null };
}

/** An answer that does not fit the schema is repaired with the error as feedback, unless that is pointless. */
function decideMisfit(
  misfit: Happening & { kind: 'misfit' },
  situation: Situation,
  policy: OutcomePolicy,
): Outcome {
  if (misfit.truncated) {
    return fail('output_truncated', 'The JSON answer was cut at max_output_tokens; raise the limit.');
  }
  if (misfit.fingerprint === situation.lastFingerprint) {
    return fail('output_invalid', `The model gave the same wrong answer twice: ${misfit.feedback}`);
  }
  if (situation.repairs >= Math.min(policy.maxRepairs, misfit.maxRepairs ?? policy.maxRepairs)) {
    return fail(
      'output_invalid',
      `The answer does not fit after ${situation.repairs} repairs: ${misfit.feedback}`,
    );
  }
  return {
    kind: 'repair',
    answer: misfit.answer,
    feedback: misfit.feedback,
    fingerprint: misfit.fingerprint,
  };
}

/** So long a step of a newer version waits for a worker of that version, on average; each look at it costs a claim. */
const NEWER_DELAY_MS = 10_000;

/** While workers are being replaced an old one leaves to the new ones what only they know; to send a part of it would be wrong. */
function decideUnreadable(happening: Happening & { kind: 'unreadable' }, random: number): Outcome {
  if (!happening.isNewer) {
    return fail('internal_error', `The step cannot be read at ${happening.places.join(', ')}.`);
  }
  const delayMs = NEWER_DELAY_MS * (0.5 + random);
  return { kind: 'retry', delayMs, reason: 'newer_version', countsAttempt: false, parkMs: null };
}

/** The same target in the pool that it has now: in the old one nobody would keep its limits, or nobody takes calls. */
function moveToItsPool({ target }: Situation): Outcome {
  return {
    kind: 'fall_over',
    target,
    reason: 'pool_changed',
    countsAttempt: false,
    gaveUp: false,
    parkMs: null,
  };
}

function decideTooLarge(happening: Happening & { kind: 'too_large' }, situation: Situation): Outcome {
  if (situation.nextTarget !== null) {
    const target = situation.nextTarget;
    const reason = 'call_too_large';
    return { kind: 'fall_over', target, reason, countsAttempt: false, gaveUp: true, parkMs: null };
  }
  const { dimension, limit, requested, isLearned = false } = happening;
  const source = isLearned ? ', as its provider has told for minutes' : '';
  return fail(
    'call_too_large',
    `The call needs ${requested} ${dimension} and ${situation.target} may take ${limit} per minute${source}.`,
  );
}

function decideAborted(reason: AbortReason): Outcome {
  if (reason === 'shutdown') {
    return { kind: 'retry', delayMs: 0, reason: 'worker_stopped', countsAttempt: false, parkMs: null };
  }
  return { kind: 'drop', reason };
}
