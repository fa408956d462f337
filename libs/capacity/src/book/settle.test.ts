import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { withClock } from '../testing/clocked-redis.ts';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const usage = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
};
const size = { inputTokens: 100, maxOutputTokens: 500 };

/** A clock that the test moves, and the options of a book that goes by it. */
function openClock() {
  const clock = { now: Date.UTC(2030, 0, 1) };
  const clocked = {
    redis: withClock(books.redis, clock, `${books.prefix}:clock`),
    now: () => clock.now,
    pause: async (ms: number) => void (clock.now += ms),
  };
  return { clock, clocked };
}

test('a call that was not sent gives everything back, once', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 60, tokens: 10_000, burstMs: 240_000 });
  const [kept, returned] = [await mustLeave(book, pool, size), await mustLeave(book, pool, size)];
  await book.settle(returned, { sent: false });
  await book.settle(returned, { sent: false });
  const reading = await book.read(pool);
  expect(reading).toMatchObject({
    limits: { requests: { used: 1 }, tokens: { used: 500 } },
    underWay: 1,
  });
  await book.settle(kept, { sent: true, usage: null });
  expect(await book.read(pool)).toMatchObject({ limits: { tokens: { used: 500 } }, underWay: 0 });
});

test.each(['before', 'after'])(
  'a call that could not be settled, because Redis was lost %s it had done so, is settled again and once',
  async (when) => {
    const pool = books.newPool();
    let failures = 2;
    const redis = new Proxy(books.redis, {
      get(target, name) {
        if (name !== 'evalsha' || failures >= 2) {
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        }
        return async (...parameters: unknown[]) => {
          failures += 1;
          if (when === 'after') await target.call('EVALSHA', ...(parameters as string[]));
          throw new Error('the connection is lost');
        };
      },
    });
    const limits = { requests: 60, tokens: 10_000, burstMs: 240_000, concurrency: 5 };
    const book = books.open(pool, limits);
    await mustLeave(book, pool, size);
    const errors: unknown[] = [];
    const losing = books.open(pool, limits, { redis, onError: (error) => errors.push(error) });
    const lost = await mustLeave(losing, pool, size);
    failures = 0;
    await losing.settle(lost, { sent: false });
    expect(errors).toHaveLength(2);
    expect(await book.read(pool)).toMatchObject({
      limits: { requests: { used: 1 }, tokens: { used: 500 } },
      underWay: 1,
    });
  },
);

test('a call that was cut keeps what was booked for its answer, one that failed at once does not', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { outputTokens: 10_000, burstMs: 240_000 });
  const [cut, failed] = [await mustLeave(book, pool, size), await mustLeave(book, pool, size)];
  await book.settle(cut, { sent: true, usage: null, cut: true });
  await book.settle(failed, { sent: true, usage: null });
  expect((await book.read(pool))?.limits.outputTokens?.used).toBe(500);
});

test('what OpenAI charges on arrival stays charged; a refusal costs the request alone', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 60, tokens: 10_000, burstMs: 240_000 });
  const answered = await mustLeave(book, pool, size);
  await book.settle(answered, { sent: true, usage: { ...usage, inputTokens: 90, outputTokens: 3 } });
  const refused = await mustLeave(book, pool, size);
  await book.settle(refused, { sent: true, refused: true, usage: null });
  expect((await book.read(pool))?.limits).toMatchObject({ requests: { used: 2 }, tokens: { used: 500 } });
});

test('tokens charged as a sum are settled to what was used, up or down', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 10_000, tokenCharge: 'sum', burstMs: 240_000 });
  const booking = await mustLeave(book, pool, { ...size, expectedOutputTokens: 50 });
  expect((await book.read(pool))?.limits.tokens?.used).toBe(150);
  await book.settle(booking, { sent: true, usage: { ...usage, inputTokens: 120, outputTokens: 400 } });
  expect((await book.read(pool))?.limits.tokens?.used).toBe(520);
});

test('Anthropic counts uncached input, and output when it is produced', async () => {
  const pool = books.newPool();
  const limits = {
    inputTokens: 10_000,
    outputTokens: 2_000,
    windowMs: 1_000,
    arrivalSpreadMs: 0,
    burstMs: 4_000,
  };
  const { clock, clocked } = openClock();
  const book = books.open(pool, limits, clocked);
  const booking = await mustLeave(book, pool, { ...size, expectedOutputTokens: 400 });
  // Its minute has passed when the answer is complete.
  clock.now += 1_100;
  expect((await book.read(pool))?.limits.outputTokens?.used).toBe(0);
  const end = { ...usage, inputTokens: 100, cachedInputTokens: 60, outputTokens: 500 };
  await book.settle(booking, { sent: true, usage: end });
  expect((await book.read(pool))?.limits).toMatchObject({
    inputTokens: { used: 0 },
    outputTokens: { used: 500 },
  });
});

test('what Anthropic read from its cache is given back within its minute, and the answer is charged as it was', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { inputTokens: 10_000, outputTokens: 10_000, burstMs: 240_000 });
  const booking = await mustLeave(book, pool, { ...size, expectedOutputTokens: 400 });
  expect((await book.read(pool))?.limits).toMatchObject({
    inputTokens: { used: 100 },
    outputTokens: { used: 400 },
  });
  const end = { ...usage, inputTokens: 100, cachedInputTokens: 60, outputTokens: 500 };
  await book.settle(booking, { sent: true, usage: end });
  expect((await book.read(pool))?.limits).toMatchObject({
    inputTokens: { used: 40, free: 9_960 },
    outputTokens: { used: 500, free: 9_500 },
  });
});

test('a call that arrived late stays in the book for as long as the vendor counts it', async () => {
  const pool = books.newPool();
  const limits = { requests: 10, windowMs: 600, arrivalSpreadMs: 50, burstMs: 2_400 };
  const { clock, clocked } = openClock();
  const book = books.open(pool, limits, clocked);
  const [onTime, late] = [await mustLeave(book, pool), await mustLeave(book, pool)];
  clock.now = late.departBy + 400;
  await book.settle(onTime, { sent: true, usage: null, arrivedBy: onTime.departBy });
  await book.settle(late, { sent: true, usage: null, arrivedBy: clock.now });
  const usedAt = async (at: number): Promise<number | undefined> => {
    clock.now = at;
    return (await book.read(pool))?.limits.requests?.used;
  };
  // What departed in a slice of 50 ms counts as if it had done so at the end of it.
  const runsOutAt = (departsAt: number): number => (Math.floor(departsAt / 50) + 1) * 50 + 650;
  expect(await usedAt(runsOutAt(onTime.departsAt) - 1)).toBe(2);
  expect(await usedAt(runsOutAt(onTime.departsAt))).toBe(1);
  expect(await usedAt(runsOutAt(late.departsAt + 400) - 1)).toBe(1);
  expect(await usedAt(runsOutAt(late.departsAt + 400))).toBe(0);
});

test('calls at a time are leases: freed when settled, kept while renewed, gone with their owner', async () => {
  const pool = books.newPool();
  const limits = { concurrency: 2 };
  const dead = books.open(pool, limits, { leaseMs: 2_500 });
  const alive = books.open(pool, limits, { leaseMs: 2_500 });
  await mustLeave(dead, pool);
  const held = await mustLeave(alive, pool);
  expect(await alive.reserve(pool, size)).toMatchObject({ verdict: 'wait', reason: 'concurrency' });
  const renewing = setInterval(() => void alive.renew(), 50);
  await waitFor(async () => (await alive.read(pool))?.underWay === 1, {
    timeoutMs: 10_000,
    what: 'the dead lease to end',
  });
  const second = await mustLeave(alive, pool);
  expect(await alive.reserve(pool, size)).toMatchObject({ verdict: 'wait', reason: 'concurrency' });
  await alive.settle(held, { sent: true, usage: null });
  await mustLeave(alive, pool);
  clearInterval(renewing);
  await alive.settle(second, { sent: true, usage: null });
  expect((await alive.read(pool))?.meanHoldMs).toBeGreaterThan(0);
});
