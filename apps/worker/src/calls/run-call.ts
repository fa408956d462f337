import { chooseTarget, decideOutcome, prepareCall, splitTarget, toStepOutcome } from '@millrace/calls';
import type { Happening, Outcome, PreparedCall, PrepareOptions, Situation } from '@millrace/calls';
import type { RetryPolicy, RouteConfig } from '@millrace/config';
import type { StepWake } from '@millrace/contracts';
import { LedgerUnavailable } from '@millrace/ledger';
import type { ClaimedStep, Departure, DepartureResult, RecordResult, StepOutcome } from '@millrace/ledger';
import type { CapacityBook } from '@millrace/capacity';
import type { OutputValidators } from '@millrace/plans';
import type { LivePublisher, StepWakeRequest } from '@millrace/transport';
import type { Claims, HeldClaim } from './claims.ts';
import type { CallReport, Passage } from './passage.ts';
import { performCall } from './perform-call.ts';
import { recordSurely } from './record-surely.ts';
import type { RetryBudget } from './retry-budget.ts';
import { createTextStream, noTextStream } from './text-stream.ts';

/** All that running a call needs. */
export interface RunCallDependencies extends PrepareOptions {
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
  capacity: CapacityBook;
  retryBudget: RetryBudget;
  publisher: LivePublisher;
  validators: OutputValidators;
  routes: ReadonlyMap<string, RouteConfig>;
  policy: RetryPolicy;
  poolOf: (target: string) => string;
  report: (report: CallReport) => void;
  onError: (error: unknown) => void;
  random: () => number;
  /** Waits; for the time between two tries to reach the ledger. */
  pause: (ms: number) => Promise<void>;
}

/**
 * Runs a step once: claim, reserve, mark sent, call, decide, record, wake. Whatever happens, the ledger learns of it or the
 * claim's lease runs out and another worker takes over.
 */
export async function runCall(dependencies: RunCallDependencies, wake: StepWake): Promise<void> {
  const step = await dependencies.claimStep(wake);
  if (!step) return;
  const claimedAt = dependencies.now();
  const held = dependencies.claims.hold(step);
  try {
    const passage = await attemptOrHandBack(dependencies, held);
    const outcome = decideOutcome(
      passage.happening,
      toSituation(dependencies, step),
      dependencies.policy,
      dependencies.random(),
    );
    if (outcome.kind === 'complete' && step.targetAttempts > 0) dependencies.retryBudget.reward(step.target);
    if ('park' in outcome && outcome.park !== null) await dependencies.capacity.park(step.pool, outcome.park);
    const recorded = await recordSurely(
      dependencies,
      toStepOutcome(step, outcome, passage.attempt, dependencies.poolOf),
    );
    dependencies.report({ step, passage, outcome, accepted: recorded.accepted, claimedAt });
    await goOn(dependencies, step, outcome, recorded);
  } finally {
    held.release();
  }
}

const RETRY_WITHOUT_BUDGET_MS = 5_000;
const WAIT_FOR_OTHER_CALLS_MS = 1_000;

/**
 * While the ledger cannot say that a call may leave, none does: the step is handed back, so that the ledger's trouble is
 * not taken for the death of this worker.
 */
async function attemptOrHandBack(dependencies: RunCallDependencies, held: HeldClaim): Promise<Passage> {
  try {
    return await attemptCall(dependencies, held);
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    dependencies.onError(error);
    return unsent({ kind: 'must_wait', delayMs: 0 });
  }
}

function unsent(happening: Happening): Passage {
  return { happening, attempt: null, sentAt: null, firstTextAt: null, endedAt: null, purpose: 'answer' };
}

async function attemptCall(dependencies: RunCallDependencies, held: HeldClaim): Promise<Passage> {
  const { step, signal } = held;
  if (step.lostAnswer && step.ambiguousPolicy === 'hold') return unsent({ kind: 'lost_answer' });
  if (step.deaths >= dependencies.policy.maxDeaths) return unsent({ kind: 'deadly' });
  if (mustRunApart(dependencies, held)) {
    return unsent({ kind: 'must_wait', delayMs: WAIT_FOR_OTHER_CALLS_MS * (1 + dependencies.random()) });
  }

  const prepared = prepareCall(step, dependencies);
  if (!prepared) return unsent(noProvider(step));

  const capped = step.maxCostMicroUsd !== null;
  if (capped && prepared.worstCaseMicroUsd === null) return unsent({ kind: 'unpriced' });

  const delayMs = await reserveCapacity(dependencies, step, prepared);
  if (delayMs > 0) return unsent({ kind: 'must_wait', delayMs });
  if (signal.aborted) return unsent({ kind: 'aborted', reason: signal.reason as 'shutdown' });

  const departure = await dependencies.markSent({
    jobId: step.jobId,
    key: step.key,
    fence: step.fence,
    owner: dependencies.worker,
    target: step.target,
    purpose: prepared.purpose,
    worstCaseMicroUsd: capped ? (prepared.worstCaseMicroUsd ?? 0) : 0,
    lostAnswer: step.lostAnswer,
  });
  if (departure.verdict === 'stale') return unsent({ kind: 'aborted', reason: 'lost' });
  if (departure.verdict === 'over_cap') {
    // Calls under way have booked their worst case; when they end, there may be room.
    return unsent(
      departure.othersUnderWay
        ? { kind: 'must_wait', delayMs: WAIT_FOR_OTHER_CALLS_MS }
        : { kind: 'over_cap' },
    );
  }

  const sentAt = dependencies.now();
  void dependencies.publisher.publishEvents(departure.events);
  const text = step.request.stream
    ? createTextStream({
        publisher: dependencies.publisher,
        jobId: step.jobId,
        step: step.key,
        attempt: departure.attempt,
        after: { sequence: departure.events.at(-1)?.sequence ?? 0, delta: 0 },
        onError: dependencies.onError,
      })
    : noTextStream;
  const { validators, now } = dependencies;
  const performance = await performCall(prepared, {
    step,
    attempt: departure.attempt,
    signal,
    text,
    validators,
    now,
  });
  return { ...performance, sentAt, endedAt: dependencies.now(), purpose: prepared.purpose };
}

/**
 * Steps that were there whenever a worker died may be its killers or only its neighbours. One that has a single death left
 * runs with no other such step beside it in this process, so that the next death names the killer.
 */
function mustRunApart({ claims, policy }: RunCallDependencies, held: HeldClaim): boolean {
  const isSuspect = (step: ClaimedStep): boolean => step.deaths > 0 && step.deaths === policy.maxDeaths - 1;
  return isSuspect(held.step) && !claims.isFirst(held, isSuspect);
}

/** How long the call has to wait: 0 lets it go. Retries also need budget, so that an outage is not hammered. */
async function reserveCapacity(
  dependencies: RunCallDependencies,
  step: ClaimedStep,
  prepared: PreparedCall,
): Promise<number> {
  const size = { inputTokens: prepared.inputTokens, maxOutputTokens: prepared.call.maxOutputTokens };
  const reservation = await dependencies.capacity.reserve(step.pool, size);
  if (reservation.verdict === 'wait') return reservation.waitMs + dependencies.random() * 250;
  if (step.targetAttempts === 0) {
    dependencies.retryBudget.earn(step.target);
    return 0;
  }
  if (dependencies.retryBudget.spend(step.target)) return 0;
  return RETRY_WITHOUT_BUDGET_MS * (0.5 + dependencies.random());
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

function toSituation(dependencies: RunCallDependencies, step: ClaimedStep): Situation {
  const { routes, providers, random } = dependencies;
  const spent = [...step.spentTargets, step.target];
  const isUsable = (target: string): boolean => providers.has(splitTarget(target).provider);
  return {
    attempts: step.attempts,
    targetAttempts: step.targetAttempts,
    repairs: step.repairs,
    lastFingerprint: step.repair?.fingerprint ?? null,
    ambiguousPolicy: step.ambiguousPolicy,
    target: step.target,
    nextTarget: chooseTarget({ route: step.route, model: null }, routes, spent, isUsable, random()),
  };
}

async function goOn(
  dependencies: RunCallDependencies,
  step: ClaimedStep,
  outcome: Outcome,
  recorded: RecordResult,
): Promise<void> {
  void dependencies.publisher.publishEvents(recorded.events);
  if (recorded.deliveryIds.length > 0) await dependencies.enqueueDeliveries(recorded.deliveryIds);
  if (recorded.pending) {
    const delayMs = outcome.kind === 'retry' ? outcome.delayMs : 0;
    const { pool, fence } = recorded.pending;
    const wake = { jobId: step.jobId, key: step.key, pool, fence, priority: step.priority, delayMs };
    await dependencies.enqueueStep(wake);
  }
  if (recorded.mayAdvance) dependencies.advanceJob(step.jobId);
}
