import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClock } from '../testing/clocked-redis.ts';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import type { Booking } from './booking.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
// Closing fails when a script has thrown: its caller goes on with the stand-in's share and tells only its log.
afterAll(() => books.close());

const tiny = { inputTokens: 1, maxOutputTokens: 1 };
/** The first instant of a minute, and of a part of the window. */
const MINUTE = Date.UTC(2030, 0, 1);

function openAccount() {
  const pool = books.newPool();
  const clock = { now: MINUTE + 1_000 };
  const book = books.open(
    pool,
    { requests: 600, concurrency: 2 },
    {
      redis: withClock(books.redis, clock, `${books.prefix}:clock`),
      now: () => clock.now,
      pause: async () => undefined,
    },
  );
  const tell = async (others: number, booking: Booking): Promise<void> => {
    const remaining = 600 - others - (booking.booked[0]?.ownUse ?? 0);
    await book.observe(pool, { requests: { limit: 600, remaining, resetMs: 60_000 } }, booking);
  };
  const outside = async (): Promise<number> => (await book.read(pool))?.limits.requests?.outside ?? -1;
  return { pool, clock, book, tell, outside };
}

test('what is known of others stays when the clock of Redis goes back a little', async () => {
  const { pool, clock, book, tell, outside } = openAccount();
  const first = await mustLeave(book, pool, tiny);
  await tell(200, first);
  const before = await outside();
  expect(before).toBeGreaterThan(199);
  clock.now -= 3_000;
  expect(Math.abs((await outside()) - before)).toBeLessThan(30);
  const second = await mustLeave(book, pool, tiny);
  await book.settle(first, { sent: true, usage: null });
  await tell(200, second);
  await book.settle(second, { sent: true, usage: null });
  expect(await outside()).toBeGreaterThan(190);
  expect((await book.read(pool))?.limits.requests?.used).toBe(2);
});

test('a book begins anew when the clock of Redis goes back by an hour, and learns of others again', async () => {
  const { pool, clock, book, tell, outside } = openAccount();
  const before = await mustLeave(book, pool, tiny);
  await mustLeave(book, pool, tiny);
  await tell(200, before);
  await book.reportRefusal(pool, 1, before);
  clock.now += 1_000;
  expect(await outside()).toBeGreaterThan(500);
  clock.now -= 3_600_000;
  expect(await outside()).toBe(0);
  const first = await mustLeave(book, pool, tiny, 1_000);
  await book.settle(before, { sent: false });
  expect(await book.read(pool)).toMatchObject({ limits: { requests: { used: 1 } }, underWay: 1 });
  await tell(300, first);
  expect(await outside()).toBeGreaterThan(299);
  // Nobody knows what was sent before: no burst.
  clock.now += 100;
  let leaving = 0;
  while ((await book.reserve(pool, tiny, { horizonMs: 0 })).verdict === 'leave') leaving += 1;
  expect(leaving).toBeLessThan(10);
});
