import type { JobError, Priority } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { LedgerUnavailable, advanceJobs, failJob, gather, isTransient } from '@millrace/ledger';
import type {
  AdvanceDecision,
  AdvanceResult,
  Database,
  FinishedJob,
  JobState,
  NewStep,
} from '@millrace/ledger';
import { advancePlan } from '@millrace/plans';
import type { PlanLimits, SplitCache, WantedStep } from '@millrace/plans';
import type { LivePublisher, Producer } from '@millrace/transport';
import type { Claims } from '../calls/claims.ts';
import type { TargetRouter } from '../routing/router.ts';
import { estimateTokens } from './estimate-tokens.ts';
import type { LanePlacer } from './lane-placer.ts';

export interface AdvanceDependencies {
  database: Database;
  producer: Producer;
  publisher: LivePublisher;
  claims: Claims;
  router: Pick<TargetRouter, 'place'>;
  lanes: LanePlacer;
  limits: PlanLimits;
  splits: SplitCache;
  onFinished: (finished: FinishedJob) => void;
  onError: (error: unknown) => void;
}

/** Lets a job go on; `apart` keeps it out of the transactions of others, for one that may take its process down. */
export type Advancer = (jobId: string, options?: { apart: boolean }) => Promise<void>;

/** Fewer than calls, because a large plan keeps the others of its transaction waiting. */
const JOBS_PER_TRANSACTION = 16;

/**
 * Carries a job on as far as its recorded steps allow, and tells everybody concerned. Jobs that are to go on at the same
 * moment share a transaction. What cannot be told (Redis is away) is found by the reconciler: the ledger has it.
 */
export function createAdvancer(dependencies: AdvanceDependencies): Advancer {
  const advance = gather(
    async (jobIds: readonly string[]) => {
      const distinct = [...new Set(jobIds)];
      const results = await advanceJobs(dependencies.database, distinct, (state) =>
        decide(dependencies, state),
      );
      const unclaimed = new Map(distinct.map((jobId, index) => [jobId, results[index] ?? null]));
      return jobIds.map((jobId) => {
        const result = unclaimed.get(jobId) ?? null;
        // Asked for twice in one batch: told once.
        unclaimed.delete(jobId);
        return result;
      });
    },
    {
      maxItems: JOBS_PER_TRANSACTION,
      concurrency: 3,
      retryAlone: (error) => !(error instanceof LedgerUnavailable),
    },
  );
  const advanceApart = async (jobId: string): Promise<AdvanceResult | null> => {
    const [result] = await advanceJobs(dependencies.database, [jobId], (state) =>
      decide(dependencies, state),
    );
    return result ?? null;
  };
  return async (jobId, { apart } = { apart: false }) => {
    try {
      const result = await (apart ? advanceApart(jobId) : advance(jobId));
      if (result) await announce(dependencies, jobId, result);
    } catch (error) {
      if (isTransient(error)) throw error;
      await giveUp(dependencies, jobId, error);
    }
  };
}

/** It failed by itself, not with others, and would fail again at each wake: such a job must end, and be seen. */
async function giveUp(dependencies: AdvanceDependencies, jobId: string, error: unknown): Promise<void> {
  dependencies.onError(error);
  const finished = await failJob(dependencies.database, jobId, {
    code: 'internal_error',
    message: 'The plan could not be carried on. The log of the worker says why.',
  });
  if (!finished) return;
  await announce(dependencies, jobId, {
    ...finished,
    outcome: 'finished',
    priority: 'standard',
    steps: [],
    abandoned: [],
    finished,
  });
}

async function decide(dependencies: AdvanceDependencies, state: JobState): Promise<AdvanceDecision> {
  const { limits, splits } = dependencies;
  const { plan, input, params, steps } = state;
  const advance = await advancePlan({ plan, input, params, steps, limits, splits });
  if (advance.kind === 'completed') {
    return { kind: 'finish', status: 'completed', output: advance.output, error: null };
  }
  if (advance.kind === 'failed') return failed(advance.error);
  await dependencies.lanes.prepare(state);
  const placed = advance.wanted.map((wanted) => place(dependencies, state, wanted));
  for (const { key } of advance.wanted) {
    crashPoint(key.includes('reduce') ? 'advance.reduce' : 'advance.step', state.jobId);
  }
  const homeless = advance.wanted.find((_, index) => placed[index] === null);
  if (homeless) return failed(noTarget(homeless));
  const estimated = placed
    .filter((step) => step !== null)
    .map((step) => ({
      ...step,
      estimatedTokens: estimateTokens(step.request, limits.defaultMaxOutputTokens),
    }));
  return { kind: 'wait', steps: estimated, abandoned: advance.abandoned };
}

function place(dependencies: AdvanceDependencies, state: JobState, wanted: WantedStep): NewStep | null {
  const { key, request, barrier } = wanted;
  const destination = dependencies.router.place(request);
  if (destination === null) return null;
  const placement = dependencies.lanes.place(state, request, destination.target);
  return { key, request, barrier, ...destination, placement };
}

function failed(error: JobError): AdvanceDecision {
  return { kind: 'finish', status: 'failed', output: null, error };
}

function noTarget(wanted: WantedStep): JobError {
  const { route, model } = wanted.request;
  const asked = route === null ? `model "${model ?? ''}"` : `route "${route}"`;
  return {
    code: 'provider_auth',
    message: `No target of the ${asked} can be called: its providers have no key on the worker.`,
    step: wanted.key,
  };
}

async function announce(
  dependencies: AdvanceDependencies,
  jobId: string,
  result: AdvanceResult,
): Promise<void> {
  const { publisher, producer, claims, onError } = dependencies;
  crashPoint(result.outcome === 'finished' ? 'finish.after-commit' : 'advance.after-commit', jobId);
  void publisher.publishEvents(result.events);
  const isOver = result.outcome === 'finished';
  if (result.finished) dependencies.onFinished(result.finished);
  if (isOver || result.abandoned.length > 0) {
    const keys = isOver ? null : result.abandoned;
    claims.abortJob(jobId, keys);
    // Others may hold steps of it; a job whose steps all ended has none left to drop.
    if (!isOver || result.finished?.status !== 'completed' || result.finished.droppedSteps > 0) {
      await publisher.publishCancel(jobId, keys ?? undefined).catch(onError);
    }
  }
  try {
    await producer.enqueueSteps(result.steps.map((step) => toWake(jobId, step, result.priority)));
    if (result.steps.length > 0) crashPoint('advance.after-wakes', jobId);
    await producer.enqueueDeliveries(
      result.deliveryIds.map((deliveryId) => ({ deliveryId, fence: 0, delayMs: 0 })),
    );
  } catch (error) {
    onError(error);
  }
}

function toWake(jobId: string, step: AdvanceResult['steps'][number], priority: Priority) {
  return { jobId, ...step, priority, delayMs: 0 };
}
