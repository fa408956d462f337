import { amountsOf, dimensions } from '@millrace/capacity';
import type { CallSize, DomainLimits, PoolReading } from '@millrace/capacity';

const MINUTE_MS = 60_000;
/** The book's own default. */
const BURST_MS = 5_000;

/**
 * How long a call that is placed in a pool now will wait there, in ms. The `backlog` before it is taken to be of calls like
 * this one: each takes what its scarcest limit needs to grow back, or its share of the time that calls hold their places.
 * Where nothing is limited, nothing but a pause keeps a call waiting.
 */
export function expectedWaitMs(
  reading: PoolReading | null,
  backlog: number,
  size: CallSize,
  limits: DomainLimits,
): number {
  if (!reading) return 0;
  const perCallMs = msPerCall(reading, size, limits);
  const headStartMs = (limits.burstMs ?? BURST_MS) * Math.max(0, 1 - reading.fullest);
  return reading.parkedMs + Math.max(0, backlog * perCallMs - headStartMs);
}

function msPerCall(reading: PoolReading, size: CallSize, limits: DomainLimits): number {
  const amounts = amountsOf(size, limits);
  const byLimit = dimensions.map((dimension) => {
    const use = reading.limits[dimension];
    if (!use) return 0;
    return ((amounts[dimension] ?? 0) * MINUTE_MS) / Math.max(1, (use.limit - use.outside) * reading.share);
  });
  const byPlaces = reading.concurrency === null ? 0 : (reading.meanHoldMs ?? 0) / reading.concurrency;
  return Math.max(byPlaces, ...byLimit);
}
