/** One rate limit as an answer's headers told it. The same shape as in `@millrace/providers`, which reads the headers. */
export interface LimitReading {
  /** Units per minute; null when not told. */
  limit: number | null;
  remaining: number | null;
  /** Until the limit is full again; null when not told. */
  resetMs: number | null;
}

/** The rate limits that an answer's headers named; what they did not name is absent. */
export interface ObservedLimits {
  requests?: LimitReading;
  tokens?: LimitReading;
  inputTokens?: LimitReading;
  outputTokens?: LimitReading;
}

/** How a vendor counts: each call for a minute, or as a bucket that is refilled all the time. */
export type Counting = 'window' | 'bucket';

/**
 * How a vendor counts, by one reading, or null when it fits both. A bucket is full again after the time in which what is
 * missing runs in; a window only when a minute has passed since the last call.
 */
export function countingOf(reading: LimitReading, windowMs = 60_000): Counting | null {
  const { limit, remaining, resetMs } = reading;
  if (limit === null || remaining === null || resetMs === null || limit <= 0) return null;
  const missing = (limit - remaining) / limit;
  if (missing <= 0 || missing > 0.5) return null;
  // Resets are told in whole seconds by some.
  return resetMs <= missing * windowMs * 1.2 + 1_100 ? 'bucket' : 'window';
}
