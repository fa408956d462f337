import { decideOutcome, prepareCall, splitTarget, toStepOutcome } from '@millrace/calls';
import type {
  AbortReason,
  Happening,
  Outcome,
  PreparedCall,
  PrepareOptions,
  Situation,
} from '@millrace/calls';
import type { RetryPolicy } from '@millrace/config';
import type { StepWake } from '@millrace/contracts';
import { crashPoint, hasDefect } from '@millrace/faults';
import { LedgerUnavailable } from '@millrace/ledger';
import type { ClaimedStep, Departure, DepartureResult, RecordResult, StepOutcome } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import type { LivePublisher, StepWakeRequest } from '@millrace/transport';
import type { Claims, HeldClaim } from './claims.ts';
import type { CallReport, Passage } from './passage.ts';
import { performCall } from './perform-call.ts';
import type { Performance } from './perform-call.ts';
import { recordSurely } from './record-surely.ts';
import { mayRun } from './run-apart.ts';
import { isRateLimit, obtainPermit, returnPermit } from './permit.ts';
import type { Permit, PermitDependencies } from './permit.ts';
import { findWayOn } from '../routing/find-way-on.ts';
import type { WayOnDependencies } from '../routing/find-way-on.ts';
import type { ShutPools } from './shut-pools.ts';
import { createTextStream, noTextStream } from './text-stream.ts';

/** All that running a call needs. */
export interface RunCallDependencies extends PrepareOptions, PermitDependencies, WayOnDependencies {
  worker: string;
  /** Claims a step; null when it is not to be had (held elsewhere, over, not due). */
  claimStep: (wake: StepWake) => Promise<ClaimedStep | null>;
  markSent: (departure: Departure) => Promise<DepartureResult>;
  recordOutcome: (outcome: StepOutcome) => Promise<RecordResult>;
  /** Lets the job go on; the slot of this call does not wait for it. */
  advanceJob: (jobId: string) => void;
  enqueueStep: (wake: StepWakeRequest) => Promise<void>;
  enqueueDeliveries: (deliveryIds: readonly string[]) => Promise<void>;
  claims: Claims;
  shutPools: ShutPools;
  publisher: LivePublisher;
  validators: OutputValidators;
  policy: RetryPolicy;
  poolOf: (target: string) => string;
  report: (report: CallReport) => void;
  onError: (error: unknown) => void;
  /** Lets a task run that nobody waits for except the end of the process. */
  inBackground: (task: () => Promise<void>) => void;
}

/**
 * Runs a step once: claim, reserve, mark sent, call, decide, record, wake. Whatever happens, the ledger learns of it or the
 * claim's lease runs out and another worker takes over.
 */
export async function runCall(
  dependencies: RunCallDependencies,
  wake: StepWake,
  place?: number,
): Promise<void> {
  const step = await dependencies.claimStep(wake);
  if (!step) return;
  crashPoint('call.after-claim', step.jobId);
  const claimedAt = dependencies.now();
  const held = dependencies.claims.hold(step);
  try {
    const passage = await attemptOrHandBack(dependencies, held, place);
    if (passage.sentAt !== null) crashPoint('call.after-answer', step.jobId);
    const decided = decideOutcome(
      passage.happening,
      await toSituation(dependencies, step, passage.happening),
      dependencies.policy,
      dependencies.random(),
    );
    if (passage.happening.kind === 'closed')
      dependencies.shutPools.noteClosed(step.pool, decided.kind === 'retry');
    const keepsTurn = decided.kind === 'retry' && waitsForPool(passage.happening);
    const outcome = keepsTurn ? { ...decided, delayMs: 0 } : decided;
    if (outcome.kind === 'complete' && step.targetAttempts > 0) dependencies.retryBudget.reward(step.target);
    // What came with a refusal for the rate is in the book already.
    if ('parkMs' in outcome && outcome.parkMs != null && !isRateLimit(passage.happening)) {
      await dependencies.capacity.park(step.pool, outcome.parkMs);
    }
    const recorded = await recordSurely(
      dependencies,
      toStepOutcome(step, outcome, passage.attempt, dependencies.poolOf),
    );
    crashPoint('call.after-record', step.jobId);
    dependencies.report({ step, passage, outcome, accepted: recorded.accepted, claimedAt });
    await goOn(dependencies, step, outcome, recorded, keepsTurn ? place : undefined);
  } finally {
    held.release();
  }
}

const WAIT_FOR_OTHER_CALLS_MS = 1_000;

/**
 * While the ledger cannot say that a call may leave, none does: the step is handed back, so that the ledger's trouble is
 * not taken for the death of this worker.
 */
async function attemptOrHandBack(
  dependencies: RunCallDependencies,
  held: HeldClaim,
  place: number | undefined,
): Promise<Passage> {
  try {
    return await attemptCall(dependencies, held, place);
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    dependencies.onError(error);
    return unsent({ kind: 'must_wait', delayMs: 0 });
  }
}

function unsent(happening: Happening): Passage {
  const never = { sentAt: null, firstTextAt: null, endedAt: null };
  return { happening, attempt: null, ...never, purpose: 'answer', estimatedInputTokens: null };
}

async function attemptCall(
  dependencies: RunCallDependencies,
  held: HeldClaim,
  place: number | undefined,
): Promise<Passage> {
  const { step } = held;
  if (step.lostAnswer && step.ambiguousPolicy === 'hold') return unsent({ kind: 'lost_answer' });
  if (step.deaths >= dependencies.policy.maxDeaths) return unsent({ kind: 'deadly' });
  if (step.unreadable) {
    const { isNewer, places } = step.unreadable;
    const whose = isNewer ? 'a newer version asks for' : 'does not fit';
    dependencies.onError(new Error(`step ${step.jobId}/${step.key}: ${whose} ${places.join(', ')}`));
    return unsent({ kind: 'unreadable', ...step.unreadable });
  }
  if (!(await mayRun(dependencies, held))) {
    return unsent({ kind: 'must_wait', delayMs: WAIT_FOR_OTHER_CALLS_MS * (1 + dependencies.random()) });
  }

  const prepared = prepareCall(step, dependencies);
  if (!prepared) return unsent(noProvider(step));
  if (dependencies.poolOf(step.target) !== step.pool) return unsent({ kind: 'misplaced' });

  const capped = step.maxCostMicroUsd !== null;
  if (capped && prepared.worstCaseMicroUsd === null) return unsent({ kind: 'unpriced' });

  const permit = await obtainPermit(dependencies, held, prepared, place);
  if ('kind' in permit) return unsent(permit);
  if (permit.verdict === 'yes') dependencies.shutPools.noteOpen(step.pool);
  crashPoint('call.after-reserve', step.jobId);
  return sendWithPermit(dependencies, held, prepared, permit);
}

/** However this ends, the permit is given back with what is true of the call. */
async function sendWithPermit(
  dependencies: RunCallDependencies,
  held: HeldClaim,
  prepared: PreparedCall,
  permit: Permit,
): Promise<Passage> {
  let performance: Performance | null = null;
  try {
    const { step, signal } = held;
    if (signal.aborted) return unsent({ kind: 'aborted', reason: signal.reason as AbortReason });
    const departure = await markDeparture(dependencies, step, prepared);
    if ('kind' in departure) return unsent(departure);
    crashPoint('call.after-sent', step.jobId);
    const sentAt = dependencies.now();
    performance = await sendCall(dependencies, held, prepared, permit, departure);
    const { judged, firstTextAt } = performance;
    const { purpose, inputTokens: estimatedInputTokens } = prepared;
    return { ...judged, firstTextAt, sentAt, endedAt: dependencies.now(), purpose, estimatedInputTokens };
  } finally {
    const ended = performance;
    dependencies.inBackground(() => returnPermit(dependencies, held.step, permit, ended));
  }
}

/** Writes in the ledger that the call leaves now, or says why it must not. */
async function markDeparture(
  dependencies: RunCallDependencies,
  step: ClaimedStep,
  prepared: PreparedCall,
): Promise<(DepartureResult & { verdict: 'go' }) | Happening> {
  if (hasDefect('send-before-record')) return { verdict: 'go', attempt: 1, events: [] };
  const departure = await dependencies.markSent({
    jobId: step.jobId,
    key: step.key,
    fence: step.fence,
    owner: dependencies.worker,
    target: step.target,
    purpose: prepared.purpose,
    worstCaseMicroUsd: step.maxCostMicroUsd === null ? 0 : (prepared.worstCaseMicroUsd ?? 0),
    lostAnswer: step.lostAnswer,
  });
  switch (departure.verdict) {
    case 'stale':
      return { kind: 'aborted', reason: 'lost' };
    case 'over_cap':
      // Calls under way have booked their worst case; when they end, there may be room.
      return departure.othersUnderWay
        ? { kind: 'must_wait', delayMs: WAIT_FOR_OTHER_CALLS_MS }
        : { kind: 'over_cap' };
    case 'go':
      return departure;
  }
}

async function sendCall(
  dependencies: RunCallDependencies,
  { step, signal }: HeldClaim,
  prepared: PreparedCall,
  { booking }: Permit,
  departure: DepartureResult & { verdict: 'go' },
): Promise<Performance> {
  const { validators, now, monotonicNow, capacity, publisher, onError } = dependencies;
  void publisher.publishEvents(departure.events);
  const text = step.request.stream
    ? createTextStream({
        publisher,
        jobId: step.jobId,
        step: step.key,
        attempt: departure.attempt,
        after: { sequence: departure.events.at(-1)?.sequence ?? 0, delta: 0 },
        onError,
      })
    : noTextStream;
  return performCall(prepared, {
    step,
    attempt: departure.attempt,
    signal,
    text,
    validators,
    now,
    monotonicNow,
    onLimits: (limits, arrivedBy) => void capacity.observe(step.pool, limits, booking, arrivedBy),
  });
}

function noProvider(step: ClaimedStep): Happening {
  const { provider } = splitTarget(step.target);
  return {
    kind: 'refused',
    message: `The provider "${provider}" is not configured on this worker or has no key.`,
    failure: {
      code: 'provider_auth',
      provider,
      httpStatus: null,
      providerCode: null,
      providerRequestId: null,
      usage: null,
      maybeBilled: false,
      scope: 'target',
    },
  };
}

async function toSituation(
  dependencies: RunCallDependencies,
  step: ClaimedStep,
  happening: Happening,
): Promise<Situation> {
  return {
    attempts: step.attempts,
    targetAttempts: step.targetAttempts,
    repairs: step.repairs,
    lastFingerprint: step.repair?.fingerprint ?? null,
    ambiguousPolicy: step.ambiguousPolicy,
    target: step.target,
    lane: step.lane,
    timeLeftMs: step.deadlineAt === null ? null : step.deadlineAt - dependencies.now(),
    ...(await findWayOn(dependencies, step, happening)),
  };
}

/** The pool is full and pauses: the step goes back to where it was in its order. */
function waitsForPool(happening: Happening): boolean {
  return happening.kind === 'must_wait' && happening.keepsTurn === true;
}

async function goOn(
  dependencies: RunCallDependencies,
  step: ClaimedStep,
  outcome: Outcome,
  recorded: RecordResult,
  place: number | undefined,
): Promise<void> {
  void dependencies.publisher.publishEvents(recorded.events);
  if (recorded.deliveryIds.length > 0) await dependencies.enqueueDeliveries(recorded.deliveryIds);
  if (recorded.pending) {
    const delayMs = outcome.kind === 'retry' ? outcome.delayMs : 0;
    const { jobId, key, priority } = step;
    const turn = place === undefined ? {} : { place };
    const wake = { jobId, key, ...recorded.pending, priority, delayMs, ...turn };
    await dependencies.enqueueStep(wake);
  }
  if (recorded.mayAdvance) dependencies.advanceJob(step.jobId);
}
