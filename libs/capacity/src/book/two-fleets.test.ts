import { keyNames } from '@millrace/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClock } from '../testing/clocked-redis.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import type { Booking } from './booking.ts';
import type { CapacityBook } from './capacity-book.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const LIMIT = 240;
const WINDOW_MS = 60_000;
const start = Date.UTC(2030, 0, 1);
const instant = (windows: number): number => start + windows * WINDOW_MS;
const clock = { now: start };
let seed = 1;
const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;

interface Arrival {
  by: string;
  at: number;
  wasLetIn: boolean;
}

/** What the account has seen: refused requests count, too, but no header tells of them. */
const arrivals: Arrival[] = [];

function arrive(by: string) {
  const inside = arrivals.filter(({ at }) => at > clock.now - WINDOW_MS);
  const used = inside.filter(({ wasLetIn }) => wasLetIn).length;
  const wasLetIn = inside.length < LIMIT;
  const retryAfterMs = Math.max(1, (inside[0]?.at ?? 0) + WINDOW_MS - clock.now);
  arrivals.push({ by, at: clock.now, wasLetIn });
  return { wasLetIn, retryAfterMs, remaining: Math.max(0, LIMIT - used - (wasLetIn ? 1 : 0)) };
}

/** What happens at its time. */
const due: { at: number; happen: () => Promise<void> }[] = [];

async function runUntil(at: number): Promise<void> {
  for (;;) {
    due.sort((one, other) => one.at - other.at);
    const next = due[0];
    if (!next || next.at > at) return;
    due.shift();
    clock.now = Math.max(clock.now, next.at);
    await next.happen();
  }
}

/** A fleet with a Redis of its own and a backlog that never ends. */
function startFleet(by: string, from: number): void {
  const prefix = `${books.prefix}${by}`;
  const book: CapacityBook = books.open(
    'shared',
    { requests: LIMIT },
    {
      names: keyNames(prefix),
      redis: withClock(books.redis, clock, `${prefix}:clock`),
      now: () => clock.now,
      pause: async () => undefined,
    },
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
    due.push({ at: clock.now + 50 + random() * 100, happen: answer });
  };
  let waiting = 0;
  const depart = (booking: Booking) => async (): Promise<void> => {
    waiting -= 1;
    if ((await book.parkedFor('shared')) > 0) return book.settle(booking, { sent: false });
    due.push({ at: clock.now + 5 + random() * 60, happen: arriveAndAnswer(booking) });
  };
  const send = async (): Promise<void> => {
    const size = { inputTokens: 1, maxOutputTokens: 1 };
    const reservation = waiting < 16 ? await book.reserve('shared', size, { horizonMs: 2_000 }) : undefined;
    const pauseMs = reservation?.verdict === 'wait' ? reservation.poolWaitMs - 1_000 : 1;
    due.push({ at: clock.now + Math.max(reservation?.verdict === 'leave' ? 1 : 50, pauseMs), happen: send });
    if (reservation?.verdict !== 'leave' || !reservation.booking) return;
    waiting += 1;
    due.push({ at: reservation.booking.departsAt, happen: depart(reservation.booking) });
  };
  due.push({ at: from, happen: send });
}

test('a fleet that comes to a full account gets its part of it, and hardly anybody is refused', async () => {
  startFleet('first', start);
  startFleet('second', instant(1.5));
  await runUntil(instant(14));
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
