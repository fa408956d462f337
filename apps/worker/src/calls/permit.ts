import type { Happening, JudgedCall, PreparedCall } from '@millrace/calls';
import type { Booking, Breakers, BreakerVerdict, CapacityBook, OutputEstimator } from '@millrace/capacity';
import type { TokenUsage } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { ClaimedStep } from '@millrace/ledger';
import type { TargetRouter } from '../routing/router.ts';
import type { HeldClaim } from './claims.ts';
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
}

/** Leave to send one call. It is given back once, by {@link returnPermit}, whatever became of the call. */
export interface Permit {
  booking: Booking | undefined;
  verdict: BreakerVerdict;
  /** Which answers resemble this one in length, and how long it was expected to be. */
  kind: string;
  expectedOutputTokens: number;
  /** The job's deadline ends the call before its own time is over. */
  isHurried: boolean;
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
const LONGEST_PAUSE_MS = 5_000;
const SHORTEST_PAUSE_MS = 50;
/** When only this call's size or class has no room: for others there is some, and a backlog of its kind must not spin. */
const OWN_WAIT_PAUSE_MS = 100;

/** Asks breaker, retry budget and book, in this order, and takes nothing from any of them if one says no. */
export async function obtainPermit(
  dependencies: PermitDependencies,
  held: HeldClaim,
  prepared: PreparedCall,
): Promise<Permit | Happening> {
  const { capacity, breakers, router, estimator, retryBudget, random } = dependencies;
  const { step, signal } = held;
  const closed: Happening = { kind: 'closed', delayMs: closedDelayMs(step, dependencies) };
  if (router.isOff(step.route, step.target) || (await breakers.state(step.target)) === 'open') return closed;
  const isRetry = step.targetAttempts > 0;
  if (isRetry && !retryBudget.spend(step.target)) {
    return { kind: 'must_wait', delayMs: RETRY_WITHOUT_BUDGET_MS * (0.5 + random()) };
  }
  const { maxOutputTokens } = prepared.call;
  const kind = kindOf(step, maxOutputTokens);
  const expectedOutputTokens = await estimator.estimate(kind, maxOutputTokens);
  const reservation = await capacity.reserve(
    step.pool,
    {
      inputTokens: prepared.inputTokens,
      inputCharacters: prepared.inputCharacters,
      maxOutputTokens,
      expectedOutputTokens,
      expectedDurationMs: dependencies.usualDurationMs(step.target),
    },
    {
      signal,
      priority: step.priority,
      caller: { name: `${step.jobId}/${step.key}`, ageMs: Math.max(0, dependencies.now() - step.createdAt) },
    },
  );
  if (reservation.verdict !== 'leave') {
    if (isRetry) retryBudget.refund(step.target);
    if (reservation.verdict === 'aborted') return { kind: 'aborted', reason: signal.reason as 'shutdown' };
    if (reservation.verdict === 'too_large') return { ...reservation, kind: 'too_large' };
    const { waitMs, poolWaitMs } = reservation;
    const leastMs = poolWaitMs < waitMs ? OWN_WAIT_PAUSE_MS : SHORTEST_PAUSE_MS;
    const pauseMs = Math.max(leastMs, poolWaitMs - PAUSE_LEAD_MS);
    dependencies.pausePool(step.pool, Math.min(LONGEST_PAUSE_MS, pauseMs));
    return { kind: 'must_wait', delayMs: waitMs + random() * 250 };
  }
  const { booking } = reservation;
  const verdict = await breakers.allow(step.target);
  if (verdict === 'no') {
    if (isRetry) retryBudget.refund(step.target);
    await capacity.settle(booking, { sent: false });
    return closed;
  }
  if (!isRetry) retryBudget.earn(step.target);
  const isHurried = prepared.call.timeoutMs < dependencies.callTimeoutMs;
  return { booking, verdict, kind, expectedOutputTokens, isHurried };
}

/** Settles the booking with the truth, and tells breaker and estimator what they can learn from the call. */
export async function returnPermit(
  dependencies: PermitDependencies,
  step: ClaimedStep,
  permit: Permit,
  sending: Sending | null,
): Promise<void> {
  const { capacity, breakers, estimator } = dependencies;
  const { booking } = permit;
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
    await capacity.reportRefusal(step.pool, retryAfterMs, booking);
  }
  const usage = attempt.usage === null ? null : toUsage(attempt.usage);
  const { arrivedBy } = sending;
  // No room in the flex tier says nothing of the target.
  const leavesFlex = step.lane === 'flex' && happening.kind !== 'answered';
  const health = leavesFlex || endedByDeadline(happening, permit) ? null : healthOf(happening);
  await Promise.all([
    capacity.settle(booking, {
      sent: true,
      refused,
      usage,
      ...(arrivedBy === undefined ? {} : { arrivedBy }),
    }),
    health !== null && breakers.record(step.target, health, permit.verdict),
    health === null && isProbe && breakers.release(step.target),
    // Without limits nobody asks for estimates.
    booking && attempt.status === 'completed' && usage
      ? estimator.record(permit.kind, usage.outputTokens, permit.expectedOutputTokens)
      : undefined,
  ]);
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

/** Answers that resemble each other in length: one tenant's calls of one route and plan node under one limit. */
function kindOf(step: ClaimedStep, maxOutputTokens: number): string {
  const node = step.key.replaceAll(/\d+/g, '#');
  return `${step.tenantId}:${step.route ?? step.target}:${node}:${step.request.output?.name ?? ''}:${maxOutputTokens}`;
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
