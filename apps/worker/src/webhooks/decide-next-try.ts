import type { TryVerdict } from '@millrace/ledger';
import type { WebhookAnswer } from './send-request.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The distances between the tries (Standard Webhooks 1.0, "Deliverability and reliability"): ten tries in some 76 hours. */
const DELAYS_MS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
const MAX_RETRY_AFTER_MS = 24 * HOUR;
/** Up to a tenth is added, never taken away, so that receivers that came back are not hit by everything at once. */
const JITTER = 0.1;

/**
 * What an answer means: 2xx is success, 410 says that the address is gone, everything else (redirects, time-outs) is tried
 * again. `Retry-After` makes the next try later than the schedule, never sooner. `roundTry` is 1 for the first try.
 */
export function decideNextTry(answer: WebhookAnswer, roundTry: number, random: () => number): TryVerdict {
  if (answer.httpStatus !== null && answer.httpStatus >= 200 && answer.httpStatus < 300)
    return { kind: 'delivered' };
  if (answer.httpStatus === 410) return { kind: 'gone' };
  const delayMs = DELAYS_MS[roundTry - 1];
  if (answer.abort || delayMs === undefined) return { kind: 'exhausted' };
  const jitteredMs = Math.round(delayMs * (1 + JITTER * random()));
  const retryAfterMs = Math.min(answer.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
  return { kind: 'retry', delayMs: Math.max(jitteredMs, retryAfterMs) };
}
