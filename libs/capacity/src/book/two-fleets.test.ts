import { keyNames } from '@millrace/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSlidingAccount } from '../testing/sliding-account.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';
import type { Booking } from './booking.ts';
import type { CapacityBook } from './capacity-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const LIMIT = 240;
const WINDOW_MS = 60_000;
const timeline = createTimeline();
const { clock, random } = timeline;
const start = clock.now;
const instant = (windows: number): number => start + windows * WINDOW_MS;
const { arrivals, arrive } = createSlidingAccount({ limit: LIMIT, windowMs: WINDOW_MS, clock });

/** A fleet with a Redis of its own and a backlog that never ends. */
function startFleet(by: string, from: number): void {
  const prefix = `${books.prefix}${by}`;
  const book: CapacityBook = books.open(
    'shared',
    { requests: LIMIT },
    { names: keyNames(prefix), ...timeline.bookOptions(books.redis, prefix) },
  );
  const arriveAndAnswer = (booking: Booking) => async (): Promise<void> => {
    const arrivedBy = clock.now;
    const { wasLetIn, retryAfterMs, remaining } = arrive(by);
    const answer = async (): Promise<void> => {
      const requests = { limit: LIMIT, remaining, resetMs: WINDOW_MS };
      await book.observe('shared', { requests }, booking, arrivedBy);
      if (!wasLetIn) await book.reportRefusal('shared', retryAfterMs, booking);
      await book.settle(booking, { sent: true, refused: !wasLetIn, usage: null, arrivedBy });
    };
    timeline.after(50 + random() * 100, answer);
  };
  let waiting = 0;
  const depart = (booking: Booking) => async (): Promise<void> => {
    waiting -= 1;
    if ((await book.parkedFor('shared')) > 0) return book.settle(booking, { sent: false });
    timeline.after(5 + random() * 60, arriveAndAnswer(booking));
  };
  const send = async (): Promise<void> => {
    const size = { inputTokens: 1, maxOutputTokens: 1 };
    const reservation = waiting < 16 ? await book.reserve('shared', size, { horizonMs: 2_000 }) : undefined;
    const pauseMs = reservation?.verdict === 'wait' ? reservation.poolWaitMs - 1_000 : 1;
    timeline.after(Math.max(reservation?.verdict === 'leave' ? 1 : 50, pauseMs), send);
    if (reservation?.verdict !== 'leave' || !reservation.booking) return;
    waiting += 1;
    timeline.at(reservation.booking.departsAt, depart(reservation.booking));
  };
  timeline.at(from, send);
}

test('a fleet that comes to a full account gets its part of it, and hardly anybody is refused', async () => {
  startFleet('first', start);
  startFleet('second', instant(1.5));
  await timeline.runUntil(instant(14));
  const share = (by: string, from: number, to: number): number =>
    arrivals.filter(
      (each) => each.by === by && each.wasLetIn && each.at > instant(from) && each.at <= instant(to),
    ).length /
    (LIMIT * (to - from));
  expect(share('first', 1, 1.5)).toBeGreaterThan(0.9);
  // Seen at once …
  expect(share('second', 3, 5)).toBeGreaterThan(0.03);
  // … and with a quarter, nearly, when there was no refusal for eight windows.
  expect(share('second', 11, 14)).toBeGreaterThan(0.2);
  expect(share('first', 11, 14)).toBeGreaterThan(0.2);
  expect(share('first', 11, 14) + share('second', 11, 14)).toBeGreaterThan(0.75);
  expect(arrivals.filter(({ wasLetIn, at }) => !wasLetIn && at > instant(4)).length).toBeLessThan(12);
}, 60_000);
