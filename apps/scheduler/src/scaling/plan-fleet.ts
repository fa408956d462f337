import { composePlan, createDrainMeter } from '@millrace/capacity';
import type { CapacityBook, DomainLimits, Fleet, ScalingPolicy } from '@millrace/capacity';
import type { ScalingPlan } from '@millrace/contracts';
import type { BacklogReading } from '@millrace/ledger';

export interface FleetPlannerOptions {
  pools: readonly string[];
  domains: ReadonlyMap<string, DomainLimits>;
  fleet: Fleet;
  book: Pick<CapacityBook, 'read'>;
  measureBacklog: () => Promise<BacklogReading[]>;
  policy: ScalingPolicy;
  /** Calls that one worker process carries, per pool, as long as none lives to tell. */
  processCapacity: number;
  onPlanned: (plan: ScalingPlan) => void;
  /** In ms since 1970. */
  now: () => number;
  /** In ms, never goes back. */
  monotonicNow: () => number;
}

/** Counting a million open calls takes a while; it may use one part in this many of the time. */
const REST_FACTOR = 10;

/**
 * Plans the fleet once: reads who lives, what waits and how the limits stand, and publishes what follows. Where counting
 * takes long it is left out of some turns, and the plan lives on until the next. Throws when ledger or Redis are away.
 */
export function createFleetPlanner(options: FleetPlannerOptions): () => Promise<void> {
  const { fleet, book, pools, domains, monotonicNow } = options;
  const drain = createDrainMeter();
  let counted: { backlog: BacklogReading[]; until: number } | null = null;

  const countBacklog = async (): Promise<BacklogReading[]> => {
    const startedAt = monotonicNow();
    if (counted && counted.until > startedAt) return counted.backlog;
    const backlog = await options.measureBacklog();
    const endedAt = monotonicNow();
    counted = { backlog, until: endedAt + (endedAt - startedAt) * REST_FACTOR };
    return backlog;
  };

  return async () => {
    const signs = await fleet.list();
    drain.take(signs, monotonicNow());
    const [backlog, readings] = await Promise.all([
      countBacklog(),
      Promise.all(pools.map(async (pool) => [pool, await book.read(pool)] as const)),
    ]);
    const { policy, processCapacity } = options;
    const request = { pools, domains, policy, processCapacity, signs, backlog, drain };
    const plan = composePlan({ ...request, readings: new Map(readings), now: options.now() });
    await fleet.publish(plan);
    options.onPlanned(plan);
  };
}
