import type { ObservedLimits } from '../provider.ts';

/**
 * When the provider allows the next try: `retry-after-ms`, else `retry-after` (seconds or an HTTP date, RFC 9110 10.2.3),
 * else the longest reset among the limits that are used up. Null when it named no time.
 */
export function readRetryAfterMs(headers: Headers, limits: ObservedLimits, nowMs: number): number | null {
  const milliseconds = parseNumber(headers.get('retry-after-ms'));
  if (milliseconds !== null) return Math.ceil(milliseconds);
  const retryAfter = headers.get('retry-after');
  const seconds = parseNumber(retryAfter);
  if (seconds !== null) return Math.ceil(seconds * 1000);
  const at = retryAfter === null ? Number.NaN : Date.parse(retryAfter);
  if (!Number.isNaN(at)) return Math.max(0, at - nowMs);
  return longestReset(limits);
}

function parseNumber(text: string | null): number | null {
  return text !== null && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : null;
}

function longestReset(limits: ObservedLimits): number | null {
  const resets = [limits.requests, limits.tokens, limits.inputTokens, limits.outputTokens]
    .filter((each) => each?.remaining === 0)
    .map((each) => each?.resetMs ?? null)
    .filter((each) => each !== null);
  return resets.length === 0 ? null : Math.max(...resets);
}
