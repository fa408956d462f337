import { describe, expect, it } from 'vitest';
import { decideNextTry } from './decide-next-try.ts';
import type { WebhookAnswer } from './send-request.ts';

const answered = (httpStatus: number | null, extra: Partial<WebhookAnswer> = {}): WebhookAnswer => ({
  httpStatus,
  error: null,
  retryAfterMs: null,
  abort: false,
  ...extra,
});
const noJitter = () => 0;
const HOUR = 3_600_000;

describe('decideNextTry', () => {
  it('keeps the distances of Standard Webhooks and gives up after the tenth try', () => {
    const delays = Array.from({ length: 10 }, (_, index) => {
      const verdict = decideNextTry(answered(500), index + 1, noJitter);
      return verdict.kind === 'retry' ? verdict.delayMs / 1_000 : verdict.kind;
    });
    expect(delays).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, 'exhausted']);
  });

  it('adds up to a tenth at random and takes nothing away', () => {
    expect(decideNextTry(answered(500), 1, () => 0.5)).toEqual({ kind: 'retry', delayMs: 5_250 });
    expect(decideNextTry(answered(500), 1, () => 0.999999)).toEqual({ kind: 'retry', delayMs: 5_500 });
  });

  it.each([200, 201, 202, 204, 299])('takes %i for success', (status) => {
    expect(decideNextTry(answered(status), 1, noJitter)).toEqual({ kind: 'delivered' });
  });

  it.each([null, 199, 301, 302, 307, 308, 400, 404, 409, 429, 500, 503])(
    'takes %s for a failure',
    (status) => {
      expect(decideNextTry(answered(status), 1, noJitter)).toEqual({ kind: 'retry', delayMs: 5_000 });
    },
  );

  it('takes 410 as the end of the endpoint', () => {
    expect(decideNextTry(answered(410), 1, noJitter)).toEqual({ kind: 'gone' });
  });

  it('waits longer when Retry-After says so, never shorter, and a day at most', () => {
    const after = (retryAfterMs: number, roundTry = 1) =>
      decideNextTry(answered(503, { retryAfterMs }), roundTry, noJitter);
    expect(after(60_000)).toEqual({ kind: 'retry', delayMs: 60_000 });
    expect(after(1_000, 2)).toEqual({ kind: 'retry', delayMs: 300_000 });
    expect(after(1_000 * HOUR)).toEqual({ kind: 'retry', delayMs: 24 * HOUR });
  });

  it('stops when the receiver asks for it, but a success stays a success', () => {
    expect(decideNextTry(answered(500, { abort: true }), 1, noJitter)).toEqual({ kind: 'exhausted' });
    expect(decideNextTry(answered(200, { abort: true }), 1, noJitter)).toEqual({ kind: 'delivered' });
  });
});
