import type { PoolReading } from '../book/pool-reading.ts';
import { dimensions } from '../domain/domain-limits.ts';

/**
 * Calls per second that the limits of a pool can feed: the scarcest limit, less what others use of the account and
 * what a vendor that asked to slow down wants left, over what a
 * call takes of it. null when nothing limits it, or as long as nothing is known of the size of a call. `windowMs` is the
 * time that the limits are for; `recentCalls` the calls that left within it, for books that do not count requests.
 */
export function feedPerSecond(reading: PoolReading, windowMs: number, recentCalls: number): number | null {
  const calls = Math.max(reading.limits.requests?.used ?? 0, recentCalls);
  const rates = dimensions.flatMap((dimension) => {
    const use = reading.limits[dimension];
    if (!use) return [];
    const perCall = dimension === 'requests' ? 1 : calls > 0 ? use.used / calls : 0;
    if (perCall <= 0) return [];
    return [(Math.max(0, use.limit - use.outside) * reading.share) / perCall / (windowMs / 1_000)];
  });
  return rates.length === 0 ? null : Math.min(...rates);
}
