import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustLeave } from '../testing/must-leave.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const reading = (limit: number, remaining: number, resetMs = 60_000) => ({ limit, remaining, resetMs });
const tiny = { inputTokens: 1, maxOutputTokens: 1 };

test('what somebody else has sent is set aside at once, and our own calls under way are not taken for it', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 100, burstMs: 2_400_000 });
  const first = await mustLeave(book, pool, tiny);
  for (let calls = 0; calls < 9; calls += 1) await mustLeave(book, pool, tiny);
  // The vendor had only seen the first call when it answered it.
  await book.observe(pool, { requests: reading(100, 99) }, first);
  expect((await book.read(pool))?.limits.requests).toMatchObject({ used: 10, outside: 0 });

  await book.observe(pool, { requests: reading(100, 69) }, first);
  const outside = (await book.read(pool))?.limits.requests?.outside ?? 0;
  expect(outside).toBeGreaterThan(29);
  expect(outside).toBeLessThanOrEqual(32);
  let leaving = 10;
  while ((await book.reserve(pool, tiny, { horizonMs: 0 })).verdict === 'leave') leaving += 1;
  expect(leaving).toBeGreaterThanOrEqual(68);
  expect(leaving).toBeLessThanOrEqual(70);
});

test('what overtook a late call is not taken for somebody else’s', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 100, burstMs: 2_400_000 });
  const late = await mustLeave(book, pool, tiny);
  for (let calls = 0; calls < 19; calls += 1) await mustLeave(book, pool, tiny);
  await book.observe(pool, { requests: reading(100, 80) }, late, late.departBy + 1);
  expect((await book.read(pool))?.limits.requests).toMatchObject({ used: 20, outside: 0 });
  await book.observe(pool, { requests: reading(100, 60) }, late, late.departBy + 1);
  expect((await book.read(pool))?.limits.requests?.outside).toBeGreaterThan(20);
});

test('more remaining than thought corrects nothing upward', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 100, burstMs: 240_000 });
  const booking = await mustLeave(book, pool, tiny);
  await book.observe(pool, { requests: reading(100, 60) }, booking);
  const before = (await book.read(pool))?.limits.requests;
  await book.observe(pool, { requests: reading(100, 100) }, booking);
  const after = (await book.read(pool))?.limits.requests;
  expect(before?.outside).toBeGreaterThan(38);
  expect(after?.outside).toBeGreaterThan(38);
  expect(after?.used).toBe(1);
});

test('a limit that headers told is adopted by every process, told once, until the configuration names another', async () => {
  const pool = books.newPool();
  const changes: unknown[] = [];
  const hooks = { onLimitChanged: (change: unknown) => void changes.push(change) };
  const book = books.open(pool, { requests: 100 }, { hooks });
  const booking = await mustLeave(book, pool, tiny);
  await book.observe(pool, { requests: reading(50, 49) }, booking);
  await book.observe(pool, { requests: reading(50, 49) }, booking);
  expect(changes).toEqual([{ pool, dimension: 'requests', from: 100, to: 50 }]);

  const other = books.open(pool, { requests: 100 });
  expect((await other.read(pool))?.limits.requests?.limit).toBe(50);
  const redeployed = books.open(pool, { requests: 80 });
  await mustLeave(redeployed, pool, tiny);
  expect((await redeployed.read(pool))?.limits.requests?.limit).toBe(80);
});

test('a call above a limit that headers told waits, and only one above the configured limit fails', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { tokens: 100_000 });
  const booking = await mustLeave(book, pool, tiny);
  await book.observe(pool, { tokens: reading(10_000, 9_999) }, booking);
  const large = { inputTokens: 0, maxOutputTokens: 20_000 };
  const other = books.open(pool, { tokens: 100_000 });
  // A pool may hold models of other limits: what an answer of one said must not end the calls of all.
  expect(book.fits(pool, large)).toBe(true);
  expect(await other.reserve(pool, large)).toMatchObject({
    verdict: 'wait',
    reason: 'tokens',
    poolWaitMs: 0,
  });
  // One that has existed for long was not too large for as long (see `oversized.test.ts`).
  const caller = { name: 'large', ageMs: 3_600_000 };
  expect(await other.reserve(pool, large, { caller })).toMatchObject({
    verdict: 'wait',
    waitMs: 15_000,
    reason: 'tokens',
    poolWaitMs: 0,
    keepsTurn: false,
  });
  await book.observe(pool, { tokens: reading(100_000, 99_000) }, booking);
  expect(await other.quote(pool, large)).toBeLessThan(15_000);
  const larger = { inputTokens: 0, maxOutputTokens: 100_001 };
  expect(book.fits(pool, larger)).toBe(false);
  expect(await other.reserve(pool, larger)).toMatchObject({ verdict: 'too_large', limit: 100_000 });
});

test('a limit that is fixed below the account’s stays, and leaves room for others up to the difference', async () => {
  const pool = books.newPool();
  const book = books.open(pool, { requests: 50, fixed: true, burstMs: 240_000 });
  const booking = await mustLeave(book, pool, tiny);
  await book.observe(pool, { requests: reading(100, 60) }, booking);
  expect((await book.read(pool))?.limits.requests).toMatchObject({ limit: 50, outside: 0 });
  await book.observe(pool, { requests: reading(100, 30) }, booking);
  expect((await book.read(pool))?.limits.requests?.outside).toBeGreaterThan(18);
});

test('where the vendor counts a bucket, others go into its debt, once for all calls that left before', async () => {
  const pool = books.newPool();
  const options = createTimeline().bookOptions(books.redis, books.prefix);
  const book = books.open(pool, { requests: 600, burstMs: 40_000 }, options);
  const [first, second] = [await mustLeave(book, pool, tiny), await mustLeave(book, pool, tiny)];
  // 62 are missing and run in within 6.2 s: a bucket. Two are ours.
  await book.observe(pool, { requests: reading(600, 539, 6_100) }, first);
  await book.observe(pool, { requests: reading(600, 538, 6_200) }, second);
  const third = await book.reserve(pool, tiny, { horizonMs: 0 });
  // 62 owed are 6.2 s, of which a twentieth of 40 s may be owed in a young book.
  expect(third).toMatchObject({ verdict: 'wait', reason: 'requests' });
  expect('waitMs' in third && third.waitMs).toBeGreaterThan(3_500);
  expect('waitMs' in third && third.waitMs).toBeLessThan(4_300);
});

test('a refusal parks the pool until the vendor’s time and warns once', async () => {
  const pool = books.newPool();
  const refusals: { isFirst: boolean; pauseMs: number }[] = [];
  const hooks = {
    onRefusal: (refusal: { isFirst: boolean; pauseMs: number }) => void refusals.push(refusal),
  };
  const one = books.open(pool, { requests: 100 }, { hooks });
  const other = books.open(pool, { requests: 100 }, { hooks });
  await one.reportRefusal(pool, 30_000);
  await other.reportRefusal(pool, null);
  expect(refusals).toMatchObject([
    { isFirst: true, pauseMs: 30_000, reading: { parkedMs: expect.any(Number) as number } },
    { isFirst: false, pauseMs: 1_000, reading: null },
  ]);
  expect(await one.reserve(pool, tiny)).toMatchObject({ verdict: 'wait', reason: 'parked' });
  expect(await one.read(pool)).toMatchObject({ refusals: 2 });
  expect(await one.admits(pool, 'realtime')).toBe(false);
});

test('a refusal stops the calls of every process that are booked and wait', async () => {
  const pool = books.newPool();
  const waited = Promise.withResolvers<void>();
  const options = {
    ...createTimeline().bookOptions(books.redis, books.prefix),
    pause: () => waited.promise,
  };
  const [one, other] = [
    books.open(pool, { requests: 60, burstMs: 20_000 }, options),
    books.open(pool, { requests: 60, burstMs: 20_000 }, options),
  ];
  const refused = await mustLeave(one, pool, tiny);
  await mustLeave(one, pool, tiny);
  const waiting = [one, other].map((book) => book.reserve(pool, tiny, { horizonMs: 5_000 }));
  await waitFor(async () => (await one.read(pool))?.limits.requests?.used === 4, {
    what: 'both to be booked',
  });
  await one.reportRefusal(pool, 20_000, refused);
  waited.resolve();
  for (const reservation of await Promise.all(waiting)) {
    expect(reservation).toMatchObject({ verdict: 'wait', reason: 'parked' });
  }
  expect((await one.read(pool))?.limits.requests?.used).toBe(2);
});

test('after a refusal the account is taken to be as full as it was, and opens again bit by bit', async () => {
  const pool = books.newPool();
  const { clock, bookOptions } = createTimeline();
  const options = bookOptions(books.redis, books.prefix);
  const book = books.open(pool, { requests: 6_000, burstMs: 10_000 }, options);
  let refused = await mustLeave(book, pool, tiny);
  for (let calls = 1; calls < 50; calls += 1) refused = await mustLeave(book, pool, tiny);
  await book.reportRefusal(pool, 100, refused);
  expect((await book.read(pool))?.limits.requests).toMatchObject({ used: 50, free: 0 });
  expect((await book.read(pool))?.limits.requests?.outside).toBeGreaterThan(5_940);
  clock.now += await book.parkedFor(pool);
  const openedAt = clock.now;
  while ((await book.reserve(pool, tiny, { horizonMs: 0 })).verdict !== 'leave') clock.now += 20;
  expect(clock.now - openedAt).toBeGreaterThan(800);
  expect(clock.now - openedAt).toBeLessThan(5_000);
  // At 100 a second, not as many as there were room for.
  let leaving = 0;
  while ((await book.reserve(pool, tiny, { horizonMs: 0 })).verdict === 'leave') leaving += 1;
  expect(leaving).toBeLessThan(100);
});

test('a limit above 80 % for a whole window is told, and not with every call', async () => {
  const pool = books.newPool();
  let told = 0;
  const limits = { requests: 50, windowMs: 500, arrivalSpreadMs: 0, burstMs: 250 };
  const book = books.open(pool, limits, { hooks: { onHighUse: () => void (told += 1) } });
  // A busy machine may let the use fall below 80 % in every window of a while; it goes on until one was full.
  const [leastUntil, mostUntil] = [performance.now() + 3_000, performance.now() + 15_000];
  const goesOn = (): boolean =>
    performance.now() < leastUntil || (told === 0 && performance.now() < mostUntil);
  const send = async (): Promise<void> => {
    while (goesOn()) await mustLeave(book, pool, tiny);
  };
  await Promise.all(Array.from({ length: 10 }, send));
  // More than once only if a busy machine let it fall below in between.
  expect(told).toBeGreaterThanOrEqual(1);
  expect(told).toBeLessThanOrEqual(4);
});

test('what is high use is the domain’s to say, and what others take counts for it', async () => {
  const told: string[] = [];
  const onHighUse = ({ pool }: { pool: string }): void => void told.push(pool);
  const window = { requests: 100, windowMs: 1_000, arrivalSpreadMs: 0, burstMs: 500 };
  const modest = { pool: books.newPool(), limits: { ...window, highUseShare: 0.3 } };
  const usual = { pool: books.newPool(), limits: window };
  const shared = { pool: books.newPool(), limits: window };
  // 40 of 100 a second are ours, and of the last pool others take 50 more.
  const send = async ({ pool, limits }: typeof modest | typeof usual, others: number): Promise<void> => {
    const book = books.open(pool, limits, { hooks: { onHighUse } });
    const booking = await mustLeave(book, pool, tiny);
    const own = booking.booked[0]!.ownUse;
    if (others > 0) await book.observe(pool, { requests: reading(100, 100 - own - others) }, booking);
  };
  const [leastUntil, mostUntil] = [performance.now() + 4_000, performance.now() + 15_000];
  const goesOn = (): boolean =>
    performance.now() < leastUntil || (new Set(told).size < 2 && performance.now() < mostUntil);
  for (let due = performance.now(); goesOn(); due += 25) {
    await waitFor(() => performance.now() >= due, { what: 'the next call', intervalMs: 2 });
    await Promise.all([send(modest, 0), send(usual, 0), send(shared, 50)]);
  }
  expect(told).toContain(modest.pool);
  expect(told).toContain(shared.pool);
  expect(told).not.toContain(usual.pool);
});
