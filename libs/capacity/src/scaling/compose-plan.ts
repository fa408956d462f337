import { priorities } from '@millrace/contracts';
import type { PoolPlan, Priority, ScalingPlan, WorkerSign } from '@millrace/contracts';
import type { PoolReading } from '../book/pool-reading.ts';
import { dimensions } from '../domain/domain-limits.ts';
import type { DomainLimits } from '../domain/domain-limits.ts';
import type { DrainMeter } from './drain-meter.ts';
import { feedPerSecond } from './feed-rate.ts';
import { wantedConcurrency } from './wanted-concurrency.ts';
import type { ScalingPolicy } from './wanted-concurrency.ts';

/** The open calls of one class in one pool. */
export interface ClassBacklog {
  pool: string;
  priority: Priority;
  /** All that wait, and of these what may leave now. */
  waiting: number;
  due: number;
  running: number;
  /** When those that wait came, in ms since 1970, evenly spaced from the first to the last; empty when none waits. */
  arrivals: readonly number[];
}

/** All that a plan is made from. */
export interface PlanRequest {
  pools: readonly string[];
  backlog: readonly ClassBacklog[];
  signs: readonly WorkerSign[];
  /** What the book says of each pool; null where it could not be read. */
  readings: ReadonlyMap<string, PoolReading | null>;
  domains: ReadonlyMap<string, DomainLimits>;
  drain: DrainMeter;
  policy: ScalingPolicy;
  /** Calls that one process carries at a time and pool, as long as no worker lives to tell. */
  processCapacity: number;
  /** In ms since 1970. */
  now: number;
}

/** A younger oldest call says nothing of how long calls take. */
const TELLING_AGE_MS = 1_000;
/** A backlog that is younger has not been served at the pool's full rate for as long as the rate is measured. */
const LOADED_AFTER_MS = 15_000;
const MINUTE_MS = 60_000;

/** Makes the plan of the fleet from what was read at one instant. */
export function composePlan(request: PlanRequest): ScalingPlan {
  const { signs, processCapacity } = request;
  const workers = signs.map(({ id, capacity, pools }) => ({ id, capacity, pools: Object.keys(pools) }));
  const capacity = workers.reduce((sum, worker) => sum + worker.capacity, 0);
  const names = new Set([...request.pools, ...request.backlog.map(({ pool }) => pool)]);
  const pools = Object.fromEntries([...names].map((pool) => [pool, planPool(request, pool)]));
  const perProcess = workers.length === 0 ? processCapacity : capacity / workers.length;
  const processes = Object.values(pools).map(({ wanted }) => Math.ceil(wanted / perProcess));
  // One worker always: somebody must look at new jobs before anybody knows what calls they want.
  return { workers, pools, wantedProcesses: Math.max(1, ...processes) };
}

function planPool(request: PlanRequest, pool: string): PoolPlan {
  const { drain, now, policy, signs } = request;
  const servers = signs.filter((sign) => Object.hasOwn(sign.pools, pool));
  const capacity = servers.reduce((sum, sign) => sum + sign.capacity, 0);
  const reading = request.readings.get(pool) ?? null;
  const windowMs = request.domains.get(pool)?.windowMs ?? MINUTE_MS;
  const classes = request.backlog.filter((each) => each.pool === pool);
  const of = (priority: Priority) => classes.find((each) => each.priority === priority);
  const running = classes.reduce((sum, each) => sum + each.running, 0);
  const holdMs = holdOf(signs, pool, reading);
  const recentCalls = drain.endedWithin(pool, windowMs) + running;
  const fed = reading === null ? null : feedPerSecond(reading, windowMs, recentCalls);
  const decided = wantedConcurrency(
    {
      due: byPriority((priority) => of(priority)?.due ?? 0),
      running,
      holdMs,
      feedPerSecond: fed,
      concurrencyLimit: reading?.concurrency ?? null,
      fullest: reading?.fullest ?? 0,
      parkedMs: reading?.parkedMs ?? 0,
      capacity,
    },
    policy,
  );

  const oldest = Math.min(now, ...classes.flatMap(({ arrivals }) => arrivals.slice(0, 1)));
  const served = Math.min(decided.granted, capacity);
  const expected =
    holdMs === null || served === 0
      ? null
      : Math.min(fed ?? Infinity, (served * 1_000) / Math.max(1, holdMs));
  const measured = now - oldest < LOADED_AFTER_MS ? null : drain.perSecond(pool);
  const ratePerSecond = rateOf(measured, expected, running);
  let ahead = 0;
  return {
    ...decided,
    running,
    holdMs,
    ratePerSecond,
    ...(reading === null ? {} : { limits: limitsOf(reading), limitShare: reading.share }),
    classes: byPriority((priority) => {
      const { waiting, arrivals } = of(priority) ?? { waiting: 0, arrivals: [] };
      ahead += waiting;
      return {
        waiting,
        oldestAgeMs: Math.max(0, now - (arrivals[0] ?? now)),
        waitMs: ahead === 0 ? 0 : ratePerSecond === null ? null : (ahead / ratePerSecond) * 1_000,
        arrivals: [...arrivals],
      };
    }),
  };
}

/** Everything that limits a pool, calls at a time included. */
function limitsOf({ limits, concurrency, underWay }: PoolReading): NonNullable<PoolPlan['limits']> {
  const perMinute = dimensions.flatMap((dimension) => {
    const use = limits[dimension];
    return use ? [{ dimension, limit: use.limit, used: use.used, outside: use.outside }] : [];
  });
  if (concurrency === null) return perMinute;
  return [...perMinute, { dimension: 'concurrency', limit: concurrency, used: underWay, outside: 0 }];
}

/** Nothing that ends while calls run may mean that they are long; while none runs, that nobody takes them. */
function rateOf(measured: number | null, expected: number | null, running: number): number | null {
  if (measured === null) return expected;
  if (measured > 0) return measured;
  return running > 0 ? expected : null;
}

/** What workers measured, else what the book did, else how long the oldest call has been running already. */
function holdOf(signs: readonly WorkerSign[], pool: string, reading: PoolReading | null): number | null {
  const known = signs.flatMap((sign) => sign.pools[pool] ?? []);
  const measured = known.flatMap(({ holdMs }) => holdMs ?? []);
  if (measured.length > 0) return measured.reduce((sum, each) => sum + each, 0) / measured.length;
  const oldestMs = Math.max(0, ...known.map((each) => each.oldestMs));
  return reading?.meanHoldMs ?? (oldestMs >= TELLING_AGE_MS ? oldestMs : null);
}

function byPriority<Value>(of: (priority: Priority) => Value): Record<Priority, Value> {
  const [realtime, standard, background] = priorities.map(of) as [Value, Value, Value];
  return { realtime, standard, background };
}
