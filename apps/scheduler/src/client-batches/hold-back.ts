import { findPressure } from '@millrace/capacity';
import type { FitsBatch } from '@millrace/capacity';
import { poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { CallNode, EmbedNode, Priority, ScalingPlan } from '@millrace/contracts';

/** Of a batch: how urgent its lines are, the rest of its window in ms, and whether the tenant's data may lie in a provider's batch. */
export interface LinesAhead {
  priority: Priority;
  timeLeftMs: number;
  batchAllowed: boolean;
}

/** Whether lines must not become jobs yet: one of them would only wait in every pool that it could use. */
export type HoldBack = (ahead: LinesAhead, plans: readonly (CallNode | EmbedNode)[]) => boolean;

/** Lines of a batch were held back; it is looked at again when the fleet's plan is a new one. */
export class HeldBack extends Error {}

/**
 * What keeps `POST /v1/jobs` outside keeps lines outside: a pool so far behind that a more urgent class, or their own, would miss
 * its bound. A batch has its window, so it is not refused: its lines flow in as the backlog shrinks. Without a plan all may come.
 * Lines for which there is time in a provider's batch are not held: they take nothing of what the pools run in realtime, and
 * would only miss the batch, and pay twice as much.
 */
export function createHoldBack(
  config: Pick<Config, 'routes' | 'pools' | 'scaling'>,
  currentPlan: () => ScalingPlan | null,
  fitsBatch: FitsBatch,
): HoldBack {
  const poolsOf = ({ route: name, model }: CallNode | EmbedNode): string[] => {
    const route = name === undefined ? undefined : config.routes.get(name);
    const targets = route ? [...route.targets.map(({ target }) => target), ...route.fallback] : [];
    const own = model === undefined ? targets : [model];
    return [...new Set(own.map((target) => poolOf(config.pools, target)))];
  };
  return ({ priority, timeLeftMs, batchAllowed }, plans) => {
    const fleet = currentPlan();
    if (!fleet) return false;
    const job = { lane: 'auto' as const, timeLeftMs, batchAllowed, callsInARow: 1 };
    // A hundred lines name one or two models.
    const choices = new Map(plans.map((plan) => [`${plan.route ?? ''} ${plan.model ?? ''}`, plan]));
    return [...choices.values()].some(
      (plan) =>
        findPressure(fleet, config.scaling.boundMs, priority, poolsOf(plan)) !== null &&
        !fitsBatch(plan, job),
    );
  };
}
