import type { CallFailure, ErrorCode, JobError } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { Happening } from './happening.ts';
import type { Outcome, OutcomePolicy } from './outcome.ts';
import type { Situation } from './situation.ts';

/** An account without quota or with a wrong key is not asked again for this long. */
const BROKEN_ACCOUNT_PARK_MS = 60_000;

/** The same request would be refused again here; another target helps unless the request itself is at fault. */
export function decideRefused(refused: Happening & { kind: 'refused' }, situation: Situation): Outcome {
  const { failure } = refused;
  const elsewhere = failure.scope !== 'call' || failure.code === 'context_length_exceeded';
  const parkMs = failure.scope === 'account' && !hasDefect('hammer-account') ? BROKEN_ACCOUNT_PARK_MS : null;
  if (elsewhere && situation.nextTarget !== null) {
    return {
      kind: 'fall_over',
      target: situation.nextTarget,
      reason: failure.code,
      countsAttempt: true,
      gaveUp: true,
      parkMs,
    };
  }
  const error = toJobError(failure.code, refused.message, failure);
  // The next job would be refused as well: nobody asks such an account again for a while.
  return parkMs === null ? { kind: 'fail', error } : { kind: 'fail', error, parkMs };
}

/** Another attempt here, later; or, where that is pointless or takes too long, at the next target. */
export function decideFailed(
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
      parkMs: retryAfterMs,
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
  return outcome.kind === 'retry' && (isLong || limited) ? { ...outcome, parkMs: retryAfterMs } : outcome;
}

/** Retries here while attempts are left, then at the next target, then gives up. */
export function retryOrGiveUp(
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
    return { kind: 'retry', delayMs: Math.round(delayMs), reason: code, countsAttempt: true, parkMs: null };
  }
  if (!usedUp && situation.nextTarget !== null) {
    const target = situation.nextTarget;
    return { kind: 'fall_over', target, reason: code, countsAttempt: true, gaveUp: true, parkMs: null };
  }
  const attempts = situation.attempts + 1;
  return {
    kind: 'fail',
    error: toJobError('retries_exhausted', `All ${attempts} attempts failed; the last: ${message}`, failure),
  };
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
