import { hasDefect } from '@millrace/faults';
import type { CallFailure, ErrorCode, JobError, Json, Lane } from '@millrace/contracts';

/** What came of a claim, as far as the decision needs it. */
export type Happening =
  | { kind: 'answered'; output: Json; meanLogprob?: number }
  | {
      kind: 'misfit';
      answer: string;
      feedback: string;
      fingerprint: string;
      truncated: boolean;
      /** Where the step wants fewer repairs than the policy allows. */
      maxRepairs?: number;
    }
  | { kind: 'refused'; message: string; failure: CallFailure }
  | { kind: 'failed'; message: string; failure: CallFailure; retryAfterMs: number | null }
  /** We ended the call ourselves. */
  | { kind: 'aborted'; reason: AbortReason }
  /** An earlier holder sent the call and its answer was never recorded. */
  | { kind: 'lost_answer' }
  /** The worker died too often while it held this step. */
  | { kind: 'deadly' }
  /** The configuration gives its target to another pool than the one that the step waited in. */
  | { kind: 'misplaced' }
  /** The call may not leave yet. */
  | { kind: 'must_wait'; delayMs: number }
  /** The target's breaker is open: it is in trouble, as other calls have seen; or it was switched off. */
  | { kind: 'closed'; delayMs: number }
  /** The call alone is larger than what its pool may send in a minute. */
  | { kind: 'too_large'; dimension: string; limit: number; requested: number }
  | { kind: 'over_cap' }
  /** The job has a cap and nobody knows what the call can cost. */
  | { kind: 'unpriced' }
  | { kind: 'unexpected'; message: string };

export type AbortReason = 'shutdown' | 'cancelled' | 'lost';

/** Where the step stands. Counts are those before this happening. */
export interface Situation {
  attempts: number;
  targetAttempts: number;
  repairs: number;
  /** Fingerprint of the last misfitting answer, null when there was none. */
  lastFingerprint: string | null;
  ambiguousPolicy: 'retry' | 'hold';
  target: string;
  /** Where the step may go when its target is given up, null when nowhere. */
  nextTarget: string | null;
  /** A target that could take the call at once while this one cannot; null when there is none, or nobody asked. */
  freeTarget: string | null;
  /** How the call was served; absent: realtime. */
  lane?: Lane;
  /** What the route wants while none of its targets can be used; absent where one can, or where it wants to wait. */
  lastResort?: LastResort | null;
  /** Until the job's deadline; absent or null without one. */
  timeLeftMs?: number | null;
}

/** What is done with a step of a route that is down, instead of waiting. */
export type LastResort =
  | { kind: 'fail' }
  | { kind: 'use'; target: string }
  /** The answer that an identical request got lately. */
  | { kind: 'answer'; output: Json };

export interface OutcomePolicy {
  maxAttemptsPerTarget: number;
  maxAttempts: number;
  maxRepairs: number;
  baseDelayMs: number;
  maxDelayMs: number;
  maxRetryAfterMs: number;
}

/** What is done about it. `park` keeps the whole pool from sending for a time. */
export type Outcome =
  | { kind: 'complete'; output: Json; degraded?: 'stale'; meanLogprob?: number }
  | { kind: 'retry'; delayMs: number; reason: string; countsAttempt: boolean; park: number | null }
  | {
      kind: 'fall_over';
      target: string;
      reason: string;
      countsAttempt: boolean;
      /** True when the present target is given up for this step; false when it is only busy. */
      gaveUp: boolean;
      /** Set when the target is the last resort of a route that is down. */
      degraded?: 'cheapest';
      park: number | null;
    }
  | { kind: 'repair'; answer: string; feedback: string; fingerprint: string }
  | { kind: 'hold'; error: JobError }
  | { kind: 'fail'; error: JobError; park?: number }
  /** The claim is gone; nothing about the step may be written. */
  | { kind: 'drop'; reason: string };

/** A call that must wait longer than this at its target leaves it for one that could take it at once. */
export const longWaitMs = 10_000;

/** An account without quota or with a wrong key is not asked again for this long. */
const BROKEN_ACCOUNT_PARK_MS = 60_000;

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
        : { kind: 'retry', delayMs: 0, reason: 'lost_answer', countsAttempt: false, park: null };
    case 'deadly':
      return fail('worker_crashed', 'The worker died each time it ran this step.');
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
  return { kind: 'retry', delayMs: 0, reason: 'flex_refused', countsAttempt: true, park: null };
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

/** The same request would be refused again here; another target helps unless the request itself is at fault. */
function decideRefused(refused: Happening & { kind: 'refused' }, situation: Situation): Outcome {
  const { failure } = refused;
  const elsewhere = failure.scope !== 'call' || failure.code === 'context_length_exceeded';
  const park = failure.scope === 'account' && !hasDefect('hammer-account') ? BROKEN_ACCOUNT_PARK_MS : null;
  if (elsewhere && situation.nextTarget !== null) {
    return {
      kind: 'fall_over',
      target: situation.nextTarget,
      reason: failure.code,
      countsAttempt: true,
      gaveUp: true,
      park,
    };
  }
  const error = toJobError(failure.code, refused.message, failure);
  // The next job would be refused as well: nobody asks such an account again for a while.
  return park === null ? { kind: 'fail', error } : { kind: 'fail', error, park };
}

function decideFailed(
  failed: Happening & { kind: 'failed' },
  situation: Situation,
  policy: OutcomePolicy,
  random: number,
): Outcome {
  const { failure } = failed;
  const retryAfterMs = hasDefect('ignore-retry-after') ? null : failed.retryAfterMs;
  const isLong = retryAfterMs !== null && retryAfterMs > policy.maxRetryAfterMs;
  if (isLong && situation.nextTarget !== null) {
    return {
      kind: 'fall_over',
      target: situation.nextTarget,
      reason: failure.code,
      countsAttempt: true,
      gaveUp: true,
      park: retryAfterMs,
    };
  }
  const outcome = retryOrGiveUp(
    failed.message,
    failure.code,
    situation,
    policy,
    random,
    retryAfterMs,
    failure,
  );
  const limited = failure.code === 'provider_rate_limited' && retryAfterMs !== null;
  return outcome.kind === 'retry' && (isLong || limited) ? { ...outcome, park: retryAfterMs } : outcome;
}

function retryOrGiveUp(
  message: string,
  code: ErrorCode,
  situation: Situation,
  policy: OutcomePolicy,
  random: number,
  retryAfterMs: number | null,
  failure: CallFailure | null = null,
): Outcome {
  const usedUp = situation.attempts + 1 >= policy.maxAttempts;
  // Where there is nowhere else to go, an outage of a minute must be sat out here.
  const staysHere =
    situation.nextTarget === null || situation.targetAttempts + 1 < policy.maxAttemptsPerTarget;
  if (!usedUp && staysHere) {
    const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** situation.targetAttempts);
    // Never before the time the provider named; after it, spread out.
    const delayMs = (retryAfterMs ?? 0) + random * ceiling;
    return { kind: 'retry', delayMs: Math.round(delayMs), reason: code, countsAttempt: true, park: null };
  }
  if (!usedUp && situation.nextTarget !== null) {
    const target = situation.nextTarget;
    return { kind: 'fall_over', target, reason: code, countsAttempt: true, gaveUp: true, park: null };
  }
  const attempts = situation.attempts + 1;
  return {
    kind: 'fail',
    error: toJobError('retries_exhausted', `All ${attempts} attempts failed; the last: ${message}`, failure),
  };
}

/** The same target in the pool that it has now: in the old one nobody would keep its limits, or nobody takes calls. */
function moveToItsPool({ target }: Situation): Outcome {
  return {
    kind: 'fall_over',
    target,
    reason: 'pool_changed',
    countsAttempt: false,
    gaveUp: false,
    park: null,
  };
}

/** Waiting uses up no attempt. A target that makes a call wait for long is left for one that could take it now. */
function decideWait(delayMs: number, reason: string, patienceMs: number, situation: Situation): Outcome {
  const { freeTarget } = situation;
  const free = { reason, countsAttempt: false, park: null } as const;
  if (delayMs <= patienceMs || freeTarget === null) return { kind: 'retry', delayMs, ...free };
  return { kind: 'fall_over', target: freeTarget, gaveUp: false, ...free };
}

/** So long before the deadline a step looks for a target for the last time, or ends with an error that says why. */
const LAST_LOOK_MS = 1_000;

/** A target that takes no calls at present is left for one that works; without one, the route says what is done. */
function decideClosed(delayMs: number, situation: Situation): Outcome {
  const { lastResort, freeTarget } = situation;
  if (freeTarget !== null) return decideWait(delayMs, 'provider_unavailable', 0, situation);
  if (!lastResort) return waitForTarget(delayMs, situation);
  switch (lastResort.kind) {
    case 'fail':
      return fail('providers_unavailable', 'No target of the route can be used, and it is not to wait.');
    case 'answer':
      return { kind: 'complete', output: lastResort.output, degraded: 'stale' };
    case 'use': {
      const { target } = lastResort;
      const free = { reason: 'provider_unavailable', countsAttempt: false, park: null } as const;
      return { kind: 'fall_over', target, gaveUp: false, degraded: 'cheapest', ...free };
    }
  }
}

function waitForTarget(delayMs: number, situation: Situation): Outcome {
  const timeLeftMs = situation.timeLeftMs ?? Infinity;
  if (timeLeftMs <= LAST_LOOK_MS) {
    const message = `${situation.target} cannot be used at present, no other target can, and the deadline leaves no time to wait.`;
    return fail('providers_unavailable', message);
  }
  return decideWait(Math.min(delayMs, timeLeftMs - LAST_LOOK_MS / 2), 'provider_unavailable', 0, situation);
}

function decideTooLarge(happening: Happening & { kind: 'too_large' }, situation: Situation): Outcome {
  if (situation.nextTarget !== null) {
    const target = situation.nextTarget;
    const reason = 'call_too_large';
    return { kind: 'fall_over', target, reason, countsAttempt: false, gaveUp: true, park: null };
  }
  const { dimension, limit, requested } = happening;
  return fail(
    'call_too_large',
    `The call needs ${requested} ${dimension} and ${situation.target} may take ${limit} per minute.`,
  );
}

function decideAborted(reason: AbortReason): Outcome {
  if (reason === 'shutdown') {
    return { kind: 'retry', delayMs: 0, reason: 'worker_stopped', countsAttempt: false, park: null };
  }
  return { kind: 'drop', reason };
}

function fail(code: ErrorCode, message: string): Outcome {
  return { kind: 'fail', error: { code, message } };
}

function toJobError(code: ErrorCode, message: string, failure: CallFailure | null): JobError {
  if (failure?.provider == null) return { code, message };
  const provider = {
    name: failure.provider,
    status: failure.httpStatus,
    code: failure.providerCode,
    request_id: failure.providerRequestId,
  };
  return { code, message, provider };
}
