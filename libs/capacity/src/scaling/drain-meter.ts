import type { WorkerSign } from '@millrace/contracts';

/** How fast the fleet ends calls, from what its workers announce. */
export interface DrainMeter {
  /** Takes the announcements of an instant (monotonic, in ms). */
  take(signs: readonly WorkerSign[], at: number): void;
  /** Calls of a pool that ended within the last `windowMs`. */
  endedWithin(pool: string, windowMs: number): number;
  /** Calls of a pool per second; null until it was watched for five seconds. */
  perSecond(pool: string): number | null;
}

const KEPT_MS = 60_000;
const RATE_WINDOW_MS = 15_000;
const LEAST_WATCHED_MS = 5_000;

/** Adds up what each worker ended since its last sign; a worker that is new or began anew counts from its first sign on. */
export function createDrainMeter(): DrainMeter {
  let last = new Map<string, WorkerSign>();
  let samples: { at: number; ended: ReadonlyMap<string, number> }[] = [];
  const totals = new Map<string, number>();

  /** The newest sample that is at least this old, or the first. */
  function before(at: number) {
    return samples.findLast((sample) => sample.at <= at) ?? samples[0];
  }
  function growth(pool: string, windowMs: number): { calls: number; ms: number } {
    const newest = samples.at(-1);
    const from = newest && before(newest.at - windowMs);
    if (!newest || !from) return { calls: 0, ms: 0 };
    return { calls: (newest.ended.get(pool) ?? 0) - (from.ended.get(pool) ?? 0), ms: newest.at - from.at };
  }

  return {
    take(signs, at) {
      for (const { id, pools } of signs) {
        const known = last.get(id);
        for (const [pool, { ended }] of Object.entries(pools)) {
          const since = known ? (known.pools[pool]?.ended ?? 0) : ended;
          if (ended > since) totals.set(pool, (totals.get(pool) ?? 0) + ended - since);
        }
      }
      last = new Map(signs.map((sign) => [sign.id, sign]));
      const first = samples.findLastIndex((sample) => sample.at <= at - KEPT_MS);
      samples = [...samples.slice(Math.max(0, first)), { at, ended: new Map(totals) }];
    },
    endedWithin: (pool, windowMs) => growth(pool, windowMs).calls,
    perSecond(pool) {
      const { calls, ms } = growth(pool, RATE_WINDOW_MS);
      return ms < LEAST_WATCHED_MS ? null : (calls / ms) * 1_000;
    },
  };
}
