import type { Priority } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';
import { createCapacityBook } from './capacity-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const tiny = { inputTokens: 1, maxOutputTokens: 1 };

test('a pool without limits lets calls go unless it is parked', async () => {
  const pool = books.newPool();
  const book = books.open('another', { requests: 1 });
  expect(await book.reserve(pool, tiny)).toEqual({ verdict: 'leave' });
  await book.park(pool, 60_000);
  await book.park(pool, 10);
  expect(await book.reserve(pool, tiny)).toMatchObject({ verdict: 'wait', reason: 'parked' });
  expect(await book.parkedFor(pool)).toBeGreaterThan(50_000);
});

test('beyond the horizon nothing is booked and the wait is told', async () => {
  const pool = books.newPool();
  const options = createTimeline().bookOptions(books.redis, books.prefix);
  const book = books.open(pool, { requests: 60, burstMs: 20_000 }, options);
  await mustLeave(book, pool, tiny, 0);
  await mustLeave(book, pool, tiny, 0);
  const reservation = await book.reserve(pool, tiny, { horizonMs: 100 });
  expect(reservation).toMatchObject({ verdict: 'wait', reason: 'requests' });
  // Two calls of a second each, in a bucket of one second (a twentieth while the book is young).
  expect('waitMs' in reservation && reservation.waitMs).toBeGreaterThan(800);
  expect('waitMs' in reservation && reservation.waitMs).toBeLessThanOrEqual(1_000);
  expect((await book.read(pool))?.limits.requests).toEqual({ limit: 60, used: 2, outside: 0, free: 58 });
});

test('a call within the horizon waits for its time', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 100, windowMs: 10_000, burstMs: 2_000 });
  const departures = [];
  for (let calls = 0; calls < 5; calls += 1) departures.push((await mustLeave(book, pool)).departsAt);
  const [first = 0, , , , last = 0] = departures;
  // A tenth of a second each; the bucket holds another one.
  expect(last - first).toBeGreaterThanOrEqual(300 - 5);
});

test('no window holds more than any limit, and hardly less, with random sizes from several processes', async () => {
  const pool = books.newPool();
  const limits = { requests: 300, tokens: 60_000, windowMs: 1_000, arrivalSpreadMs: 20 };
  const calls: { at: number; tokens: number }[] = [];
  const timeline = createTimeline();
  const { clock, random } = timeline;
  for (let sender = 0; sender < 12; sender += 1) {
    const book = books.open(pool, limits, timeline.bookOptions(books.redis, books.prefix));
    const send = async (): Promise<void> => {
      const tokens = Math.ceil(random() * 500);
      const { departsAt } = await mustLeave(book, pool, { inputTokens: 0, maxOutputTokens: tokens });
      calls.push({ at: departsAt, tokens });
      timeline.at(departsAt + random(), send);
    };
    timeline.after(random(), send);
  }
  await timeline.runUntil(clock.now + 4_000);

  const sorted = calls.toSorted((one, other) => one.at - other.at);
  const start = sorted[0]!.at;
  const windows = sorted.map(({ at }) => {
    const inside = sorted.filter((call) => call.at > at - 1_020 && call.at <= at);
    return { requests: inside.length, tokens: inside.reduce((sum, call) => sum + call.tokens, 0) };
  });
  expect(Math.max(...windows.map(({ requests }) => requests))).toBeLessThanOrEqual(300);
  expect(Math.max(...windows.map(({ tokens }) => tokens))).toBeLessThanOrEqual(60_000);
  const settled = sorted.filter(({ at }) => at > start + 1_000 && at <= start + 4_000);
  const used = settled.reduce((sum, { tokens }) => sum + tokens, 0) / (3 * 60_000);
  // Slices of 50 ms and the spread cost 7 % of so short a window (0.5 % of a minute).
  expect(used).toBeGreaterThan(0.85);
});

test('a call larger than the bucket leaves and puts it into debt', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 60_000, burstMs: 4_000 });
  await mustLeave(book, pool, { inputTokens: 0, maxOutputTokens: 30_000 }, 0);
  const next = await book.reserve(pool, tiny, { horizonMs: 0 });
  expect(next).toMatchObject({ verdict: 'wait', reason: 'tokens' });
  expect('waitMs' in next && next.waitMs).toBeGreaterThan(29_000);
});

test('a call larger than a whole minute is refused, at intake and in the book', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 1_000, requests: 10 });
  const size = { inputTokens: 1_001, maxOutputTokens: 5 };
  expect(book.fits(pool, size)).toBe(false);
  expect(book.fits(pool, { ...size, inputTokens: 1_000 })).toBe(true);
  expect(book.fits('unknown', size)).toBe(true);
  expect(await book.reserve(pool, size)).toEqual({
    verdict: 'too_large',
    dimension: 'tokens',
    limit: 1_000,
    requested: 1_001,
  });
  expect((await book.read(pool))?.limits.requests?.used).toBe(0);
});

test('background work leaves the last tenth of a limit to the others', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 20, burstMs: 4_000_000 });
  for (let calls = 0; calls < 18; calls += 1) {
    const reservation = await book.reserve(pool, tiny, { horizonMs: 0, priority: 'background' });
    expect(reservation.verdict).toBe('leave');
  }
  expect(await book.admits(pool, 'background')).toBe(false);
  expect(await book.admits(pool, 'standard')).toBe(true);
  expect(await book.reserve(pool, tiny, { horizonMs: 0, priority: 'background' })).toMatchObject({
    verdict: 'wait',
  });
  expect(await book.reserve(pool, tiny, { horizonMs: 0, priority: 'standard' })).toMatchObject({
    verdict: 'leave',
  });
});

test('background work leaves the last tenth of the calls at a time to the others, and none of a few', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { concurrency: 10 });
  const ask = (priority: Priority) => book.reserve(pool, tiny, { priority });
  for (let calls = 0; calls < 9; calls += 1) {
    expect(await ask('background')).toMatchObject({ verdict: 'leave' });
  }
  // It waits for its own share: the others need not.
  const ownWait = { verdict: 'wait', reason: 'concurrency', poolWaitMs: 0, keepsTurn: false };
  expect(await ask('background')).toMatchObject(ownWait);
  expect(await ask('standard')).toMatchObject({ verdict: 'leave' });
  for (const priority of ['standard', 'background'] as const) {
    const reservation = await ask(priority);
    expect(reservation).toMatchObject({ verdict: 'wait', reason: 'concurrency', keepsTurn: true });
    expect('poolWaitMs' in reservation && reservation.poolWaitMs).toBeGreaterThan(0);
  }
  for (const concurrency of [1, 2, 5]) {
    const small = books.newPool();
    const few = books.open(small, { concurrency });
    const askFew = () => few.reserve(small, tiny, { priority: 'background' });
    for (let calls = 0; calls < concurrency; calls += 1) {
      expect(await askFew()).toMatchObject({ verdict: 'leave' });
    }
    expect(await askFew()).toMatchObject({ verdict: 'wait' });
  }
});

test('a wait that is aborted gives its place back', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 60, burstMs: 20_000 });
  await mustLeave(book, pool, tiny, 0);
  await mustLeave(book, pool, tiny, 0);
  const aborting = new AbortController();
  const waiting = book.reserve(pool, tiny, { signal: aborting.signal });
  aborting.abort('shutdown');
  expect(await waiting).toEqual({ verdict: 'aborted' });
  expect(await book.read(pool)).toMatchObject({ limits: { requests: { used: 2 } }, underWay: 2 });
  expect(book.open).toBe(2);
});

test('a wait that ends too late is booked anew', async () => {
  const pool = books.newPool();
  let skewMs = 0;
  const late: number[] = [];
  const book = books.open(
    pool,
    { requests: 600, burstMs: 20_000 },
    {
      now: () => performance.now() + skewMs,
      pause: async () => void (skewMs += late.length < 2 ? 3_000 : 0),
      hooks: { onLate: ({ lateMs }) => late.push(lateMs) },
    },
  );
  for (let calls = 0; calls < 11; calls += 1) await mustLeave(book, pool, tiny, 0);
  await mustLeave(book, pool);
  expect(late).toHaveLength(2);
  expect((await book.read(pool))?.limits.requests?.used).toBe(12);
});

test('a book that Redis has lost starts without a burst', async () => {
  const pool = books.newPool();
  const limits = { requests: 600, burstMs: 240_000 };
  const { clock, bookOptions } = createTimeline();
  const book = books.open(pool, limits, bookOptions(books.redis, books.prefix));
  const before = await mustLeave(book, pool, tiny, 0);
  clock.now += 10;
  await books.redis.del(keyNames(books.prefix).book(pool), keyNames(books.prefix).bookWindow(pool));
  let leaving = 0;
  while ((await book.reserve(pool, tiny, { horizonMs: 0 })).verdict === 'leave') leaving += 1;
  // A twentieth of the burst, not all of it.
  expect(leaving).toBeLessThan(130);
  const used = (await book.read(pool))?.limits.requests?.used;
  await book.settle(before, { sent: false });
  expect((await book.read(pool))?.limits.requests?.used).toBe(used);
});

test('without Redis each process takes its share of the limits, evenly, and nothing of what is larger', async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const redis = connectRedis({ url: 'redis://127.0.0.1:1', role: 'producer', name: 'none', onError });
  const book = createCapacityBook({
    redis,
    names: keyNames('none'),
    onError,
    domains: new Map([['pool', { requests: 600, tokens: 60_000 }]]),
    standInShare: 0.5,
  });
  expect(await book.reserve('pool', tiny, { horizonMs: 0 })).toEqual({ verdict: 'leave' });
  const next = await book.reserve('pool', tiny, { horizonMs: 0 });
  expect(next).toMatchObject({ verdict: 'wait', reason: 'requests' });
  expect('waitMs' in next && next.waitMs).toBeGreaterThan(100);
  expect(await book.reserve('elsewhere', tiny)).toEqual({ verdict: 'leave' });
  expect(await book.read('pool')).toBeNull();
  await book.reportRefusal('pool', 1_000);
  expect(errors.length).toBeGreaterThan(2);
  await closeRedis(redis);
});
