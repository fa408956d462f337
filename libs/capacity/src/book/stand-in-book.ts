import { dimensions } from '../domain/domain-limits.ts';
import type { Amounts, Dimension, DomainLimits } from '../domain/domain-limits.ts';

/** What a process may do on its own while Redis is away. */
export interface StandInBook {
  /** How long a call has to wait; 0 or more. It is booked when that is within the horizon. */
  reserve(
    pool: string,
    amounts: Amounts,
    limits: DomainLimits,
    horizonMs: number,
  ): { waitMs: number; reason: Dimension };
}

/**
 * Stands in for the fleet's book while Redis cannot be asked. Work goes on at this process's share of each limit (a
 * fraction, 0.25 for four processes), evenly spread and without a burst, because nobody knows what the others send: not
 * at all would stop work that the vendor could take, and without limits all processes together would pass them. Calls at
 * a time are not counted. Nothing is given back; it is forgotten when Redis is there again, since the shares lie below the
 * limits. `now` is monotonic, in ms.
 */
export function createStandInBook(options: { share: number; now: () => number }): StandInBook {
  const nextAt = new Map<string, number>();
  return {
    reserve(pool, amounts, limits, horizonMs) {
      const now = options.now();
      const begins = new Map<Dimension, number>();
      let leavesAt = now;
      let reason: Dimension = 'requests';
      for (const dimension of dimensions) {
        if (limits[dimension] === undefined) continue;
        const freeAt = nextAt.get(`${pool} ${dimension}`) ?? now;
        begins.set(dimension, freeAt);
        if (freeAt <= leavesAt) continue;
        leavesAt = freeAt;
        reason = dimension;
      }
      const waitMs = leavesAt - now;
      if (waitMs > horizonMs) return { waitMs, reason };
      for (const [dimension] of begins) {
        const perMs = ((limits[dimension] ?? 0) * options.share) / (limits.windowMs ?? 60_000);
        nextAt.set(`${pool} ${dimension}`, leavesAt + (amounts[dimension] ?? 0) / perMs);
      }
      return { waitMs, reason };
    },
  };
}
