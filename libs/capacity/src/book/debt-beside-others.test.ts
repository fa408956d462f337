import { keyNames } from '@millrace/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClock } from '../testing/clocked-redis.ts';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import type { Booking } from './booking.ts';
import type { CapacityBook } from './capacity-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const LIMIT = 200_000;
const clock = { now: Date.UTC(2030, 0, 1) };

function openBook(pool: string): CapacityBook {
  return books.open(
    pool,
    { tokens: LIMIT, tokenCharge: 'sum' },
    {
      redis: withClock(books.redis, clock, `${books.prefix}:clock`),
      now: () => clock.now,
      pause: async (ms) => void (clock.now += ms),
    },
  );
}

const sized = (tokens: number) => ({ inputTokens: tokens, maxOutputTokens: 0 });
const notSent = { sent: false } as const;

/** A 429 before anything of ours: nearly all of the limit is taken to be others'. Then the pause is over. */
async function meetRefusal(book: CapacityBook, pool: string): Promise<void> {
  const refused = await mustLeave(book, pool, sized(100));
  await book.reportRefusal(pool, 100, refused);
  await book.settle(refused, { sent: true, refused: true, usage: null });
  clock.now += 1_200;
}

/** The vendor says that nothing is left, though we have hardly begun. */
async function hearOfOthers(book: CapacityBook, pool: string, booking: Booking): Promise<void> {
  await book.observe(pool, { tokens: { limit: LIMIT, remaining: 0, resetMs: 60_000 } }, booking);
}

test('a large call that leaves after a refusal holds the pool up for a window, not for twenty', async () => {
  const pool = books.newPool();
  const book = openBook(pool);
  await meetRefusal(book, pool);
  await mustLeave(book, pool, sized(40_000));
  expect(await book.quote(pool, sized(100))).toBeGreaterThan(5_000);
  clock.now += 61_000;
  expect(await book.quote(pool, sized(100))).toBe(0);
});

test('what was booked beside others is given back as it was charged, however few are left', async () => {
  const pool = books.newPool();
  const book = openBook(pool);
  await meetRefusal(book, pool);
  const large = await mustLeave(book, pool, sized(40_000));
  clock.now += 30_000;
  await book.settle(large, notSent);
  expect(await book.quote(pool, sized(100))).toBe(0);
});

test('what was booked before others came is given back as it was charged, too', async () => {
  const pool = books.newPool();
  const book = openBook(pool);
  const first = await mustLeave(book, pool, sized(100));
  await mustLeave(book, pool, sized(100_000));
  clock.now += 30_000;
  const large = await mustLeave(book, pool, sized(60_000));
  const before = await bucketFullAt(pool);
  await hearOfOthers(book, pool, first);
  await book.settle(large, notSent);
  // 60,000 of 200,000 a minute.
  expect(before - (await bucketFullAt(pool))).toBeCloseTo(18_000, 0);
});

test('what a call took beyond its booking is charged at the pace at which it left', async () => {
  const pool = books.newPool();
  const book = openBook(pool);
  const booking = await mustLeave(book, pool, sized(1_000));
  const before = await bucketFullAt(pool);
  await hearOfOthers(book, pool, booking);
  const usage = { cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 10_000, reasoningTokens: 0 };
  await book.settle(booking, { sent: true, usage: { inputTokens: 1_000, ...usage } });
  expect((await bucketFullAt(pool)) - before).toBeCloseTo(3_000, 0);
});

/** When the bucket of the tokens will be full. */
async function bucketFullAt(pool: string): Promise<number> {
  const text = await books.redis.eval(
    "return tostring(select(4, struct.unpack('<dddddddddd', redis.call('HGET', KEYS[1], 't'))) % 1000000000)",
    1,
    keyNames(books.prefix).book(pool),
  );
  return Number(text);
}
