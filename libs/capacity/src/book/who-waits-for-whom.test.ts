import { keyNames } from '@millrace/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const long = { inputTokens: 1, maxOutputTokens: 10, expectedDurationMs: 60_000 };

test('a call whose answer comes soon does not wait for one whose answer comes late', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { outputTokens: 100_000 });
  const slow = await mustLeave(book, pool, long);
  await mustLeave(book, pool, { ...long, expectedDurationMs: 5_000 }, 100);
  // A worker that has just started does not know how long calls take.
  await mustLeave(book, pool, { ...long, expectedDurationMs: 0 }, 100);
  await book.settle(slow, { sent: true, usage: null });
  await mustLeave(book, pool, { ...long, expectedDurationMs: 0 }, 100);
});

test('calls of mixed lengths keep their places among the departures, and the limit', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { outputTokens: 6_000, windowMs: 1_000, burstMs: 100, arrivalSpreadMs: 20 });
  const departures: number[] = [];
  for (let calls = 0; calls < 24; calls += 1) {
    const expectedDurationMs = calls % 2 === 0 ? 300 : 50;
    const { departsAt } = await mustLeave(book, pool, {
      inputTokens: 1,
      maxOutputTokens: 600,
      expectedDurationMs,
    });
    departures.push(departsAt);
  }
  expect(departures).toEqual(departures.toSorted((one, other) => one - other));
  // Ten of them fill a window; the first ones come with the burst.
  expect(departures.at(-1)! - departures[0]!).toBeGreaterThan(2_000);
});

test('a wait tells whether it is the pool’s or this call’s own', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 10_000, burstMs: 1_200_000 });
  await mustLeave(book, pool, { inputTokens: 1, maxOutputTokens: 8_900 });
  const small = { inputTokens: 1, maxOutputTokens: 200 };
  const background = await book.reserve(pool, small, { priority: 'background' });
  expect(background).toMatchObject({ verdict: 'wait', poolWaitMs: 0 });
  const large = await book.reserve(pool, { inputTokens: 1, maxOutputTokens: 2_000 });
  expect(large).toMatchObject({ verdict: 'wait', poolWaitMs: 0 });
  await mustLeave(book, pool, { inputTokens: 1, maxOutputTokens: 1_100 }, 0);
  const full = await book.reserve(pool, small);
  if (full.verdict !== 'wait') throw new Error(full.verdict);
  expect(full.poolWaitMs).toBe(full.waitMs);
});

test('a quote tells the wait of this very call and books nothing', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 10_000, burstMs: 1_200_000 });
  await mustLeave(book, pool, { inputTokens: 1, maxOutputTokens: 8_000 });
  expect(await book.quote(pool, { inputTokens: 1, maxOutputTokens: 1_000 })).toBe(0);
  expect(await book.quote(pool, { inputTokens: 1, maxOutputTokens: 4_000 })).toBeGreaterThan(30_000);
  expect(await book.quote(pool, { inputTokens: 1, maxOutputTokens: 1_500 }, 'background')).toBeGreaterThan(
    30_000,
  );
  expect(await book.quote(pool, { inputTokens: 1, maxOutputTokens: 40_000 })).toBe(Infinity);
  expect((await book.read(pool))?.limits.tokens?.used).toBe(8_000);
});

test('a limit that headers named is forgotten when nothing could leave under it for ten minutes', async () => {
  const pool = books.newPool();
  const limits = { tokens: 100_000 };
  const book = books.open(pool, limits);
  const size = { inputTokens: 1, maxOutputTokens: 10 };
  const booking = await mustLeave(book, pool, size);
  await book.observe(pool, { tokens: { limit: 1, remaining: 1, resetMs: 0 } }, booking);
  await book.settle(booking, { sent: true, usage: null });
  expect(await book.reserve(pool, size)).toMatchObject({ verdict: 'wait', waitMs: 15_000 });

  await passMs(keyNames(books.prefix).book(pool), 10 * 60_000 + 1_000);
  expect(await books.open(pool, limits).reserve(pool, size)).toMatchObject({ verdict: 'leave' });
  expect((await book.read(pool))?.limits.tokens?.limit).toBe(100_000);
});

/** Moves what a book knows into the past. */
async function passMs(key: string, ms: number): Promise<void> {
  await books.redis.eval(
    `local d = {struct.unpack('<dddddddddd', redis.call('HGET', KEYS[1], 't'))}
    for _, at in ipairs({3, 4, 8}) do d[at] = d[at] - ARGV[1] end
    d[2] = d[2] - ARGV[1] / 50
    d[11] = nil
    redis.call('HSET', KEYS[1], 't', struct.pack('<dddddddddd', unpack(d)))`,
    1,
    key,
    ms,
  );
}
