import { join } from 'node:path';
import { spawnApp, waitFor } from '@millrace/test-support';
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

const KILLS = 50;
const AT_A_TIME = 10;
const LEASE_MS = 9_000;
const size = { inputTokens: 0, maxOutputTokens: 100 };
/** Longer than the test: nothing may run out of the window before it is counted. */
const WINDOW_MS = 600_000;

test('fifty processes killed -9 while they hold calls leave the book exact after the lease time', async () => {
  const pool = books.newPool();
  const limits = {
    ...{ requests: 10_000, tokens: 1_000_000, concurrency: 40 },
    ...{ windowMs: WINDOW_MS, burstMs: 40 * WINDOW_MS },
  };
  const book = books.open(pool, limits, { leaseMs: LEASE_MS });
  const renewing = setInterval(() => void book.renew(), LEASE_MS / 3);
  const mine = await mustLeave(book, pool, size);
  const killHolder = async (): Promise<void> => {
    const holder = await spawnApp({
      app: join(import.meta.dirname, '../testing/hold-bookings.ts'),
      environment: {
        REDIS_URL: books.url,
        PREFIX: books.prefix,
        POOL: pool,
        LIMITS: JSON.stringify(limits),
        CALLS: '3',
        LEASE_MS: String(LEASE_MS),
      },
    });
    await holder.waitForLine(/holding/, 30_000);
    await holder.kill('SIGKILL');
  };
  for (let killed = 0; killed < KILLS; killed += AT_A_TIME) {
    await Promise.all(Array.from({ length: AT_A_TIME }, killHolder));
    // Their calls are what is under way, until their leases end; then there is room for the next.
    await waitFor(async () => (await book.read(pool))?.underWay === 1, {
      timeoutMs: LEASE_MS * 2,
      what: 'the leases of the dead to end',
    });
  }
  clearInterval(renewing);

  await book.settle(mine, { sent: false });
  const reading = await book.read(pool);
  expect(reading?.underWay).toBe(0);
  // What they had booked may have been sent: it stays charged for its minute, and no longer (see the next test).
  expect(reading?.limits).toMatchObject({
    requests: { used: KILLS * 3 },
    tokens: { used: KILLS * 3 * size.maxOutputTokens },
  });
  for (let calls = 0; calls < 40; calls += 1) await mustLeave(book, pool, size);
  expect(await book.reserve(pool, size)).toMatchObject({ verdict: 'wait', reason: 'concurrency' });
}, 180_000);

test('what a dead owner had booked is charged for its minute and then free', async () => {
  const pool = books.newPool();
  const limits = { requests: 10, tokens: 1_000, windowMs: 500, arrivalSpreadMs: 50, burstMs: 20_000 };
  const clock = { now: Date.UTC(2030, 0, 1) };
  const book = books.open(pool, limits, {
    redis: withClock(books.redis, clock, `${books.prefix}:clock`),
    now: () => clock.now,
    pause: async (ms) => void (clock.now += ms),
  });
  for (let calls = 0; calls < 5; calls += 1) await mustLeave(book, pool, size);
  expect((await book.read(pool))?.limits).toMatchObject({ requests: { used: 5 }, tokens: { used: 500 } });
  clock.now += 600;
  expect((await book.read(pool))?.limits).toMatchObject({ requests: { used: 0 }, tokens: { used: 0 } });
  for (let calls = 0; calls < 5; calls += 1) await mustLeave(book, pool, size);
  expect((await book.read(pool))?.limits.requests?.used).toBe(5);
});
