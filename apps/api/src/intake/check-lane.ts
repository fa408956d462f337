import { ProblemError } from '@millrace/contracts';
import type { LaneChoice, PlanNode } from '@millrace/contracts';
import type { KnownDurations } from '@millrace/ledger';
import { heaviestInARow, placesOf } from './calls-in-a-row.ts';
import type { CallPlace } from './calls-in-a-row.ts';
import { callsOf } from './pools-of-plan.ts';

/** What is looked at of a job that may have named its lane. */
export interface LaneWish {
  plan: PlanNode;
  lane: LaneChoice;
  onLate?: 'refuse' | 'best_effort' | undefined;
  /** In ms; null without a deadline. */
  timeLeftMs: number | null;
  /** Whether the tenant's data may lie in a provider's batch. */
  batchAllowed: boolean;
}

/** Throws when a job's lane cannot be had, or cannot keep its deadline and the client would rather hear of it now. */
export type CheckLane = (job: LaneWish) => void;

/**
 * Checks what the configuration and past batches tell: a job of the lane `batch` is refused when none of its calls can ride in
 * a batch, and with `on_late: refuse` also when batches are not known to be answered in time, one upon the other where calls are. What
 * is known of them may be some seconds old.
 */
export function createCheckLane(options: {
  /** Targets are `provider/model`. */
  routes: ReadonlyMap<
    string,
    {
      targets: readonly { target: string; weight: number }[];
      fallback: readonly string[];
      batch?: boolean | undefined;
    }
  >;
  /** Providers that have a batch API. */
  batching: ReadonlySet<string>;
  durations: KnownDurations;
  marginMs: number;
  onError: (error: unknown) => void;
}): CheckLane {
  const { routes, batching, durations, marginMs, onError } = options;
  const canBatch = (target: string): boolean => batching.has(target.slice(0, target.indexOf('/')));
  const routeOf = ({ route, model }: CallPlace) =>
    model === undefined ? routes.get(route ?? '') : undefined;
  const isForbidden = (call: CallPlace): boolean => routeOf(call)?.batch === false;

  /** The targets whose batches a call may ride in: fallbacks only where its route has no other. */
  function batchTargets(call: CallPlace): readonly string[] {
    if (isForbidden(call)) return [];
    if (call.model !== undefined) return [call.model].filter(canBatch);
    const { targets = [], fallback = [] } = routeOf(call) ?? {};
    const chosen = targets.filter(({ weight }) => weight > 0).map(({ target }) => target);
    const others = [...targets.map(({ target }) => target), ...fallback];
    const first = chosen.filter(canBatch);
    return first.length > 0 ? first : others.filter(canBatch);
  }

  function slowest(plan: PlanNode): number {
    const takesMs = (call: CallPlace): number =>
      Math.max(0, ...batchTargets(call).map((target) => durations.expectedMs(target)));
    const margins = placesIn(plan)
      .flatMap(batchTargets)
      .map((target) => durations.marginMs(target, marginMs));
    return heaviestInARow(plan, takesMs) + Math.max(0, ...margins);
  }

  return ({ plan, lane, onLate, timeLeftMs, batchAllowed }) => {
    if (lane !== 'batch') return;
    if (!batchAllowed) throw refuse('lane', `this tenant's data may not lie in batches; ${OTHERWISE}`);
    const calls = placesIn(plan);
    if (calls.every((call) => batchTargets(call).length === 0)) {
      const reason = calls.some(isForbidden)
        ? 'no call of this plan can ride in a batch: its routes forbid it, or have no target with a batch API'
        : 'no target of this plan has a batch API';
      throw refuse('lane', `${reason}; ${OTHERWISE}`);
    }
    if (onLate !== 'refuse' || timeLeftMs === null) return;
    // What is asked for now is known the next time; a first request is judged by the cautious belief.
    durations.refresh().catch(onError);
    const takesMs = slowest(plan);
    if (takesMs <= timeLeftMs) return;
    throw refuse(
      'deadline',
      `batches are not known to be answered within it: 99 in 100 take up to ${Math.ceil(takesMs / 60_000)} minutes, ` +
        'those of calls that follow one upon the other together',
    );
  };
}

function placesIn(plan: PlanNode): CallPlace[] {
  return callsOf(plan).flatMap(placesOf);
}

const OTHERWISE = 'use "auto" or "realtime"';

function refuse(path: string, message: string): ProblemError {
  return new ProblemError('validation_failed', `${path}: ${message}`, { errors: [{ path, message }] });
}
