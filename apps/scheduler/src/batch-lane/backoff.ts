import { RetryableError } from '@millrace/contracts';

const BASE_MS = 2_000;
const MOST_MS = 5 * 60_000;

/** How long to wait after a failure, the `tries`-th in a row (from 1): never less than the provider asks for. */
export function backoffMs(tries: number, error: unknown, random: number): number {
  const asked = error instanceof RetryableError ? (error.retryAfterMs ?? 0) : 0;
  const ceiling = Math.min(MOST_MS, BASE_MS * 2 ** Math.min(tries, 10));
  return Math.max(asked, ceiling / 2 + (random * ceiling) / 2);
}

/** When to look at a running batch again: soon at first, then ever more seldom, never all at the same moment. */
export function pollDelayMs(polls: number, longestMs: number, random: number): number {
  const growing = (longestMs / 12) * 1.3 ** Math.min(polls, 40);
  return Math.min(longestMs, growing) * (0.8 + random * 0.4);
}
