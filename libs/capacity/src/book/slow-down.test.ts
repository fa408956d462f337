import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClock } from '../testing/clocked-redis.ts';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const MINUTE_MS = 60_000;
const slowDown = { slowDown: true };

/** An account whose minutes pass at once. */
function openAccount() {
  const pool = books.newPool();
  const clock = { now: Date.UTC(2030, 0, 1) };
  const pause = async (ms: number): Promise<void> => void (clock.now += ms);
  const redis = withClock(books.redis, clock, `${books.prefix}:${pool}:clock`);
  const book = books.open(pool, { requests: 60 }, { redis, now: () => clock.now, pause });
  /** Sends as much as the book lets go for a minute. */
  const fillMinute = async (): Promise<number> => {
    const until = clock.now + MINUTE_MS;
    let calls = 0;
    while (clock.now < until) {
      const reservation = await book.reserve(pool, { inputTokens: 1, maxOutputTokens: 1 }, { horizonMs: 0 });
      if (reservation.verdict === 'leave') calls += 1;
      if (reservation.verdict === 'wait') clock.now += Math.ceil(reservation.waitMs);
    }
    return calls;
  };
  const askToSlowDown = async () => {
    await book.reportRefusal(pool, 1, await mustLeave(book, pool, undefined, 10_000), slowDown);
    clock.now += 10;
  };
  const share = async () => (await book.read(pool))?.share;
  return { pool, clock, book, fillMinute, askToSlowDown, share };
}

test('a vendor that asks to slow down gets half of the rate for 15 minutes, then bit by bit all of it', async () => {
  const { clock, fillMinute, askToSlowDown, share } = openAccount();
  await askToSlowDown();
  const askedAt = clock.now;
  await fillMinute();
  const half = await fillMinute();
  expect(half).toBeGreaterThan(26);
  expect(half).toBeLessThanOrEqual(30);
  clock.now = askedAt + 14 * MINUTE_MS;
  expect(await share()).toBe(0.5);
  clock.now = askedAt + 22.5 * MINUTE_MS;
  expect(await share()).toBeCloseTo(0.75, 3);
  await fillMinute();
  const more = await fillMinute();
  expect(more).toBeGreaterThan(40);
  expect(more).toBeLessThan(50);
  clock.now = askedAt + 30 * MINUTE_MS;
  expect(await share()).toBe(1);
  await fillMinute();
  expect(await fillMinute()).toBeGreaterThan(55);
});

test('only a call that left after the cut asks for another one, to an eighth at the least', async () => {
  const { pool, clock, book, askToSlowDown, share } = openAccount();
  const underWay = await mustLeave(book, pool);
  clock.now += 10;
  await askToSlowDown();
  await book.reportRefusal(pool, 1, underWay, slowDown);
  expect(await share()).toBe(0.5);
  const shares: (number | undefined)[] = [];
  for (let times = 0; times < 3; times += 1) {
    clock.now += MINUTE_MS;
    await askToSlowDown();
    shares.push(await share());
  }
  expect(shares).toEqual([0.25, 0.125, 0.125]);
});

test('a pool that was asked to slow down is as full as it may become', async () => {
  const { pool, clock, book, askToSlowDown } = openAccount();
  await book.reportRefusal(pool, 1, await mustLeave(book, pool));
  clock.now += MINUTE_MS * 2;
  expect(await book.read(pool)).toMatchObject({ share: 1, fullest: 0 });
  await askToSlowDown();
  clock.now += MINUTE_MS * 2;
  expect(await book.read(pool)).toMatchObject({
    share: 0.5,
    fullest: 0.5,
    limits: { requests: { limit: 60, free: 30 } },
  });
});
