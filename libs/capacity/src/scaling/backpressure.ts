import { priorities } from '@millrace/contracts';
import type { PoolPlan, Priority, ScalingPlan } from '@millrace/contracts';

/** Why work is refused: which class waits too long, and after which time it will not any more. */
export interface Pressure {
  pool: string;
  late: Priority;
  retryAfterMs: number;
}

/** The most urgent class has nobody who could yield to it any more: it is refused only when its bound is missed by this factor. */
const LAST_FACTOR = 2;
const LEAST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 3_600_000;

/**
 * Whether new work of a class must wait outside: when in every pool that it could use a more urgent class, or its own, would
 * wait for longer than its bound. What is least urgent yields first, `realtime` last. null when the work may come in, also
 * when nothing is known of its pools.
 */
export function findPressure(
  plan: ScalingPlan,
  boundMs: Readonly<Record<Priority, number>>,
  priority: Priority,
  pools: readonly string[],
): Pressure | null {
  const known = pools.filter((pool) => plan.pools[pool]);
  // A pool that no worker serves (its provider has no key) is no way out.
  const served = known.filter((pool) => plan.workers.some((worker) => worker.pools.includes(pool)));
  const names = served.length > 0 ? served : known;
  if (names.length === 0) return null;
  const pressures = names.map((name) => pressureIn(name, plan.pools[name], boundMs, priority));
  return pressures.reduce((least, each) => {
    if (!least || !each) return null;
    return each.retryAfterMs < least.retryAfterMs ? each : least;
  });
}

function pressureIn(
  name: string,
  pool: PoolPlan | undefined,
  boundMs: Readonly<Record<Priority, number>>,
  priority: Priority,
): Pressure | null {
  for (const late of priorities.slice(0, priorities.indexOf(priority) + 1)) {
    const isLast = late === priority && late === priorities[0];
    const bound = boundMs[late] * (isLast ? LAST_FACTOR : 1);
    const excessMs = pool ? waitOf(pool, late) - bound : 0;
    if (excessMs > 0) {
      // The backlog shrinks by a second each second, as long as nothing more comes in.
      const retryAfterMs = Math.min(Math.max(excessMs, LEAST_RETRY_MS), LONGEST_RETRY_MS);
      return { pool: name, late, retryAfterMs };
    }
  }
  return null;
}

/** Where nobody knows how long what waits will wait, it is for as long as it has. */
function waitOf(pool: PoolPlan, priority: Priority): number {
  const { waitMs, oldestAgeMs, waiting } = pool.classes[priority];
  if (waiting === 0) return 0;
  return waitMs ?? oldestAgeMs;
}
