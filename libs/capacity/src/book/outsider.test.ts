import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSlidingAccount } from '../testing/sliding-account.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';
import type { Booking } from './booking.ts';

const WINDOW_MS = 6_000;
const LIMIT = 240;
const PER_MS = LIMIT / WINDOW_MS;
/** What two seconds are to a minute. */
const HORIZON_MS = WINDOW_MS / 30;

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

test('somebody who takes 30 % of the account is left room before anyone is refused, and is forgotten when he stops', async () => {
  const pool = books.newPool();
  const limits = { requests: LIMIT, windowMs: WINDOW_MS, burstMs: WINDOW_MS / 12 };
  const timeline = createTimeline();
  const { clock, random } = timeline;
  const from = clock.now;
  const instant = (windows: number): number => from + windows * WINDOW_MS;
  const { arrivals, arrive } = createSlidingAccount({ limit: LIMIT, windowMs: WINDOW_MS, clock });
  /** One of the fleet's places: its next call comes when the one before is answered. */
  const work = async (): Promise<void> => {
    const book = books.open(pool, limits, timeline.bookOptions(books.redis, `${books.prefix}${pool}`));
    const ask = async (): Promise<void> => {
      const size = { inputTokens: 1, maxOutputTokens: 1 };
      const reservation = await book.reserve(pool, size, { horizonMs: HORIZON_MS });
      if (reservation.verdict === 'wait') return timeline.after(Math.min(reservation.waitMs, 50), ask);
      if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(reservation.verdict);
      timeline.at(reservation.booking.departsAt, depart(reservation.booking));
    };
    const depart = (booking: Booking) => async (): Promise<void> => {
      if ((await book.parkedFor(pool)) === 0) return timeline.after(1 + random() * 4, send(booking));
      await book.settle(booking, { sent: false });
      await ask();
    };
    const send = (booking: Booking) => async (): Promise<void> => {
      const arrivedBy = clock.now;
      const { wasLetIn, remaining } = arrive('fleet');
      timeline.after(20 + random() * 40, async () => {
        const requests = { limit: LIMIT, remaining, resetMs: WINDOW_MS };
        await book.observe(pool, { requests }, booking, arrivedBy);
        if (!wasLetIn) await book.reportRefusal(pool, 100, booking);
        await book.settle(booking, { sent: true, refused: !wasLetIn, usage: null, arrivedBy });
        await ask();
      });
    };
    await ask();
  };
  const intrude = async (): Promise<void> => {
    arrive('outsider');
    if (clock.now < instant(3)) timeline.after(1 / (PER_MS * 0.3), intrude);
  };
  for (let places = 0; places < 24; places += 1) timeline.after(random() * 5, work);
  timeline.at(instant(0.5), intrude);
  await timeline.runUntil(instant(5));

  expect(arrivals.filter(({ wasLetIn }) => !wasLetIn).length).toBeLessThanOrEqual(5);
  const share = (windows: number, by?: string): number => {
    const inside = (at: number): boolean => at > instant(windows) && at <= instant(windows + 1);
    return arrivals.filter((each) => inside(each.at) && (by === undefined || each.by === by)).length / LIMIT;
  };
  // Together, while both are there …
  expect(share(2, 'outsider')).toBeGreaterThan(0.25);
  expect(share(2)).toBeGreaterThan(0.85);
  // … and alone, a window after the other has stopped.
  expect(share(4, 'fleet')).toBeGreaterThan(0.85);
}, 60_000);

test('a burst of others is set aside once, not as if it went on, and has run out after a window', async () => {
  const pool = books.newPool();
  const limits = { requests: 1_000, windowMs: 2_400, arrivalSpreadMs: 0, burstMs: 24_000 };
  const timeline = createTimeline();
  const { clock } = timeline;
  const book = books.open(pool, limits, timeline.bookOptions(books.redis, `${books.prefix}${pool}`));
  const outside = async (): Promise<number> => (await book.read(pool))?.limits.requests?.outside ?? 0;
  const tell = async (others: number): Promise<void> => {
    const reservation = await book.reserve(pool, { inputTokens: 1, maxOutputTokens: 1 });
    if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(reservation.verdict);
    const ownUse = reservation.booking.booked[0]?.ownUse ?? 0;
    const requests = { limit: 1_000, remaining: 1_000 - ownUse - others, resetMs: 60_000 };
    await book.observe(pool, { requests }, reservation.booking);
  };
  const tellFor = async (forMs: number, others: (elapsedMs: number) => number): Promise<void> => {
    for (let elapsedMs = 0; elapsedMs < forMs; elapsedMs += 15) {
      await tell(Math.round(others(elapsedMs)));
      clock.now += 15;
    }
  };
  await tell(0);
  clock.now += 5;
  await tell(300);
  expect(await outside()).toBeGreaterThan(290);
  expect(await outside()).toBeLessThan(320);
  await tellFor(2_000, () => 300);
  expect(await outside()).toBeLessThan(330);
  await tellFor(1_200, () => 0);
  expect(await outside()).toBeLessThan(30);
  // Of a pace: what it has sent by then, and as much again ahead.
  await tellFor(1_000, (elapsedMs) => elapsedMs / 10);
  expect(await outside()).toBeGreaterThan(150);
  expect(await outside()).toBeLessThan(300);
}, 30_000);
