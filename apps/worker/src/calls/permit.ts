import type { AbortReason, Happening, JudgedCall, PreparedCall } from '@millrace/calls';
import type {
  Booking,
  Breakers,
  BreakerVerdict,
  CallSize,
  CapacityBook,
  OutputEstimator,
  Reservation,
} from '@millrace/capacity';
import type { TokenUsage } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { ClaimedStep } from '@millrace/ledger';
import type { TargetRouter } from '../routing/router.ts';
import type { HeldClaim } from './claims.ts';
import { likenessOf } from './likeness-of.ts';
import type { RetryBudget } from './retry-budget.ts';

/** All that decides whether a call may leave now. */
export interface PermitDependencies {
  capacity: CapacityBook;
  breakers: Breakers;
  /** Knows which targets were switched off. */
  router: TargetRouter;
  estimator: OutputEstimator;
  retryBudget: RetryBudget;
  /** How long calls of a target usually take, for limits that count output as it is produced. */
  usualDurationMs: (target: string) => number;
  /** How long a call may take that no deadline cuts short. */
  callTimeoutMs: number;
  /** Lets no worker of the fleet take calls of a pool for a time. */
  pausePool: (pool: string, forMs: number) => void;
  random: () => number;
  now: () => number;
  /** On the monotonic clock, in ms. */
  monotonicNow: () => number;
  pause: (ms: number) => Promise<void>;
}

/** Leave to send one call. It is given back once, by {@link returnPermit}, whatever became of the call. */
export interface Permit {
  booking: Booking | undefined;
  verdict: BreakerVerdict;
  /** Which answers resemble this one in length, and how long it was expected to be. */
  likeness: string;
  expectedOutputTokens: number;
  /** The job's deadline ends the call before its own time is over. */
  isHurried: boolean;
  /** Paid by the retry budget. */
  isRetry: boolean;
}

/** How a call that had a permit ended; null when it was not sent. */
export interface Sending {
  judged: JudgedCall;
  /** On the monotonic clock: when the vendor must have counted the call at the latest. */
  arrivedBy: number | undefined;
}

const RETRY_WITHOUT_BUDGET_MS = 5_000;
/** A pool that pauses comes back this long before its next booking may leave, so that no gap opens. */
const PAUSE_LEAD_MS = 1_000;
/** What calls under way give back may let the next one go sooner than was told. */
const LONGEST_PAUSE_MS = 5_000;
/** A provider that said when to come back is not asked sooner, whatever else ends meanwhile. */
const LONGEST_PARKED_PAUSE_MS = 15_000;
const SHORTEST_PAUSE_MS = 50;
/** When only this call's size or class has no room: for others there is some, and a backlog of its kind must not spin. */
const OWN_WAIT_PAUSE_MS = 100;

/** A place among the calls at a time is waited for with the slot: putting steps off and claiming them again costs more. */
const PLACE_PATIENCE_MS = 2_000;
/** While only the last places are left, which are not for its class: the slot that it waits in is one that others need to take them. */
const OWN_SHARE_PATIENCE_MS = 100;
/** Who waits for another's turn is not overtaken by what its worker takes meanwhile; but the other must get a slot. */
const TURN_PAUSE_MS = 50;

/** Asks breaker, retry budget and book, in this order, and takes nothing from any of them if one says no. */
export async function obtainPermit(
  dependencies: PermitDependencies,
  held: HeldClaim,
  prepared: PreparedCall,
  place?: number,
): Promise<Permit | Happening> {
  const { capacity, breakers, router, estimator, retryBudget, random } = dependencies;
  const { step, signal } = held;
  const closed: Happening = { kind: 'closed', delayMs: closedDelayMs(step, dependencies) };
  if (router.isOff(step.route, step.target)) return closed;
  const state = await breakers.state(step.target);
  if (state === 'open') return closed;
  // Where only one probe may go, the others must not book first and wait with it.
  const early = state === 'half_open' ? await breakers.allow(step.target) : null;
  if (early === 'no') return closed;
  const isRetry = step.targetAttempts > 0;
  if (isRetry && !retryBudget.spend(step.target)) {
    if (early === 'probe') await breakers.release(step.target);
    return { kind: 'must_wait', delayMs: RETRY_WITHOUT_BUDGET_MS * (0.5 + random()) };
  }
  const { chargedOutputTokens: maxOutputTokens } = prepared;
  const likeness = likenessOf(step, maxOutputTokens);
  const expectedOutputTokens = await estimator.estimate(likeness, maxOutputTokens);
  const reservation = await reservePlace(
    dependencies,
    held,
    {
      inputTokens: prepared.inputTokens,
      inputCharacters: prepared.inputCharacters,
      maxOutputTokens,
      expectedOutputTokens,
      expectedDurationMs: dependencies.usualDurationMs(step.target),
    },
    place,
  );
  if (reservation.verdict !== 'leave') {
    if (early === 'probe') await breakers.release(step.target);
    if (isRetry) retryBudget.refund(step.target);
    if (reservation.verdict === 'aborted') return { kind: 'aborted', reason: signal.reason as AbortReason };
    if (reservation.verdict === 'too_large') return { ...reservation, kind: 'too_large' };
    const { waitMs, poolWaitMs, reason, keepsTurn, isLearned = false } = reservation;
    const leastMs = poolWaitMs < waitMs ? OWN_WAIT_PAUSE_MS : SHORTEST_PAUSE_MS;
    const pauseMs = Math.max(leastMs, poolWaitMs - PAUSE_LEAD_MS);
    const mostMs = reason === 'parked' ? LONGEST_PARKED_PAUSE_MS : LONGEST_PAUSE_MS;
    // A call that is larger than what its provider told of late says nothing of the pool.
    if (!isLearned) dependencies.pausePool(step.pool, Math.min(mostMs, pauseMs));
    // The pause makes it wait already. Behind a delay of its own it would let others of its tenant be handed out meanwhile, and
    // all of them would go before newcomers.
    return { kind: 'must_wait', delayMs: waitMs + random() * 250, keepsTurn };
  }
  const { booking } = reservation;
  const verdict = early ?? (await breakers.allow(step.target));
  if (verdict === 'no') {
    if (isRetry) retryBudget.refund(step.target);
    await capacity.settle(booking, { sent: false });
    return closed;
  }
  const isHurried = prepared.call.timeoutMs < dependencies.callTimeoutMs;
  return { booking, verdict, likeness, expectedOutputTokens, isHurried, isRetry };
}

/** Books the call; while all places are taken or it is another's turn, tries again for as long as it would wait with a booking. */
async function reservePlace(
  { capacity, pausePool, pause, now, monotonicNow }: PermitDependencies,
  { step, signal }: HeldClaim,
  size: CallSize,
  place: number | undefined,
): Promise<Reservation> {
  const since = monotonicNow();
  let hasPaused = false;
  for (;;) {
    const caller = { name: `${step.jobId}/${step.key}`, ageMs: Math.max(0, now() - step.createdAt) };
    const reservation = await capacity.reserve(step.pool, size, {
      signal,
      priority: step.priority,
      caller,
      place,
    });
    if (reservation.verdict !== 'wait') return reservation;
    const isForTurn = reservation.reason === 'turn';
    if (!isForTurn && reservation.reason !== 'concurrency') return reservation;
    const { waitMs, poolWaitMs } = reservation;
    const isForOwnShare = poolWaitMs < waitMs;
    const patienceMs = isForOwnShare ? OWN_SHARE_PATIENCE_MS : PLACE_PATIENCE_MS;
    if (monotonicNow() + waitMs > since + patienceMs) return reservation;
    // Those who wait here already take what becomes free.
    if (!isForTurn && !isForOwnShare) pausePool(step.pool, waitMs);
    else if (isForTurn && !hasPaused) pausePool(step.pool, TURN_PAUSE_MS);
    hasPaused = true;
    await pause(waitMs);
    if (signal.aborted) return { verdict: 'aborted' };
  }
}

/** Settles the booking with the truth, and tells breaker and estimator what they can learn from the call. */
export async function returnPermit(
  dependencies: PermitDependencies,
  step: ClaimedStep,
  permit: Permit,
  sending: Sending | null,
): Promise<void> {
  const { capacity, breakers, estimator, retryBudget } = dependencies;
  const { booking } = permit;
  const hasLeft = sending?.arrivedBy !== undefined;
  if (permit.isRetry && !hasLeft) retryBudget.refund(step.target);
  if (!permit.isRetry && hasLeft) retryBudget.earn(step.target);
  if (hasDefect('forget-settle')) return;
  const isProbe = permit.verdict === 'probe';
  if (!sending) {
    if (isProbe) await breakers.release(step.target);
    return capacity.settle(booking, { sent: false });
  }
  const { happening, attempt } = sending.judged;
  const refused = isRateLimit(happening);
  if (refused) {
    const retryAfterMs = hasDefect('ignore-retry-after') ? null : happening.retryAfterMs;
    const slowDown = happening.failure.providerCode === 'slow_down';
    await capacity.reportRefusal(step.pool, retryAfterMs, booking, { slowDown });
  }
  const usage = attempt.usage === null ? null : toUsage(attempt.usage);
  const { arrivedBy } = sending;
  // No room in the flex tier says nothing of the target.
  const leavesFlex = step.lane === 'flex' && happening.kind !== 'answered';
  const health = leavesFlex || endedByDeadline(happening, permit) ? null : healthOf(happening);
  await Promise.all([
    capacity.settle(
      booking,
      arrivedBy === undefined
        ? { sent: false }
        : { sent: true, refused, usage, arrivedBy, cut: wasCut(happening) },
    ),
    health !== null && breakers.record(step.target, health, permit.verdict),
    health === null && isProbe && breakers.release(step.target),
    // Without limits nobody asks for estimates.
    booking && attempt.status === 'completed' && usage
      ? estimator.record(permit.likeness, usage.outputTokens, permit.expectedOutputTokens)
      : undefined,
  ]);
}

/** The vendor may have produced, and counted, an answer that nobody heard to its end. */
function wasCut(happening: Happening): boolean {
  return happening.kind === 'aborted' || (happening.kind === 'failed' && happening.failure.maybeBilled);
}

/** A 429 for the rate, which the book should have prevented (not one for quota, nor one of a slower tier). */
export function isRateLimit(happening: Happening): happening is Happening & { kind: 'failed' } {
  return happening.kind === 'failed' && happening.failure.code === 'provider_rate_limited';
}

/** A job that leaves its calls little time says nothing of their target: a tenant could close it to all others by that. */
function endedByDeadline(happening: Happening, { isHurried }: Permit): boolean {
  return isHurried && happening.kind === 'failed' && happening.failure.code === 'provider_timeout';
}

/** True and false for what a breaker counts as healthy and as trouble; null for what says nothing of the target. */
function healthOf(happening: Happening): boolean | null {
  switch (happening.kind) {
    case 'answered':
    case 'misfit':
      return true;
    case 'refused':
      // The vendor is there and says no, for the sake of the call or of the account.
      return true;
    case 'failed':
      return isRateLimit(happening);
    default:
      return null;
  }
}

/** The longer a step has waited for a target to come back, the less often it asks. */
function closedDelayMs(step: ClaimedStep, { now, random }: PermitDependencies): number {
  const waitedMs = Math.max(0, now() - step.createdAt);
  return Math.min(15_000, Math.max(2_000, waitedMs / 2)) * (0.75 + random() / 2);
}

function toUsage(usage: TokenUsage): TokenUsage {
  const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens } = usage;
  return { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens };
}
