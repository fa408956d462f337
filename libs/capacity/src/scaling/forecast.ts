import { priorities } from '@millrace/contracts';
import type { PoolPlan, Priority, ScalingPlan } from '@millrace/contracts';

/** The open calls of a job in one pool. */
export interface OpenCalls {
  pool: string;
  /** Calls that wait. */
  waiting: number;
  /** When the first of them came, in ms since 1970; null when none waits. */
  firstAt: number | null;
}

/** What a waiting job may expect; null where nothing can be told. */
export interface Forecast {
  /** Calls that go before its next one. */
  position: number | null;
  /** Until the calls that are known of it have ended, from now. */
  etaMs: number | null;
}

const NOTHING: Forecast = { position: null, etaMs: null };

/** Estimates, as if calls of a class left in the order in which they came: shares between tenants move them a little. */
export function forecastJob(plan: ScalingPlan, priority: Priority, calls: readonly OpenCalls[]): Forecast {
  const parts = calls.flatMap((call) => {
    const pool = plan.pools[call.pool];
    return pool ? [forecastIn(pool, priority, call)] : [];
  });
  if (parts.length === 0) return NOTHING;
  // Calls that run in a pool where none has ended yet tell nothing; what waits elsewhere is nearly always longer.
  const telling = parts.filter(({ waits, etaMs }) => waits || etaMs !== null);
  const etas = telling.map(({ etaMs }) => etaMs);
  return {
    // Its next call is the one that has the least before it.
    position: Math.min(...parts.map(({ position }) => position)),
    etaMs: etas.length === 0 || etas.includes(null) ? null : Math.max(...etas.map(Number)),
  };
}

/** What a job that has not begun may expect, if its first call goes to one of these pools (without names: to any). */
export function forecastNew(plan: ScalingPlan, priority: Priority, pools: readonly string[]): Forecast {
  const names = pools.length > 0 ? pools : Object.keys(plan.pools);
  const parts = names.map((pool) => forecastJob(plan, priority, [{ pool, waiting: 1, firstAt: Infinity }]));
  return parts.reduce(
    (worst, each) => ((each.position ?? -1) > (worst.position ?? -1) ? each : worst),
    parts[0] ?? NOTHING,
  );
}

function forecastIn(
  pool: PoolPlan,
  priority: Priority,
  { waiting, firstAt }: OpenCalls,
): { waits: boolean; position: number; etaMs: number | null } {
  if (firstAt === null) return { waits: false, position: 0, etaMs: pool.holdMs };
  const waits = true;
  const position = positionOf(pool, priority, firstAt);
  const { ratePerSecond, holdMs } = pool;
  if (ratePerSecond === null || ratePerSecond <= 0 || holdMs === null)
    return { waits, position, etaMs: null };
  return { waits, position, etaMs: ((position + waiting - 1) / ratePerSecond) * 1_000 + holdMs };
}

/** Calls that go before one that came at an instant: every more urgent one, and those of its class that came before it. */
function positionOf(pool: PoolPlan, priority: Priority, cameAt: number): number {
  const before = priorities.slice(0, priorities.indexOf(priority));
  const urgent = before.reduce((sum, each) => sum + pool.classes[each].waiting, 0);
  const { waiting, arrivals } = pool.classes[priority];
  return urgent + Math.round(waiting * shareBefore(arrivals, cameAt));
}

/** The share of evenly spaced instants that lies before one, between two of them in proportion. */
function shareBefore(arrivals: readonly number[], at: number): number {
  const last = arrivals.length - 1;
  const index = arrivals.findLastIndex((each) => each < at);
  if (index < 0) return 0;
  const [from, to] = [arrivals[index], arrivals[index + 1]];
  if (from === undefined || to === undefined || last === 0) return 1;
  return (index + (at - from) / (to - from)) / last;
}
