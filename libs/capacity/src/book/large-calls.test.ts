import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const WINDOW_MS = 4_000;
const LIMIT = 10_000;
const HORIZON_MS = (2_000 * WINDOW_MS) / 60_000;

/** A backlog of small calls that has taken all the room there is, and then one large call after the other beside it. */
async function race(largeTokens: number, windows: number) {
  const pool = books.newPool();
  const limits = { tokens: LIMIT, windowMs: WINDOW_MS, arrivalSpreadMs: 20, burstMs: WINDOW_MS / 12 };
  const calls: { at: number; tokens: number; waitedMs: number }[] = [];
  const timeline = createTimeline();
  const { clock, random } = timeline;
  const endsAt = clock.now + windows * WINDOW_MS;
  /** One process: its next call comes when the one before has left. */
  const begin = (tokens: number, name: string) => async (): Promise<void> => {
    const book = books.open(pool, limits, timeline.bookOptions(books.redis, `${books.prefix}${pool}`));
    const size = { inputTokens: 0, maxOutputTokens: tokens };
    const send = (startedAt: number) => async (): Promise<void> => {
      const ageMs = clock.now - startedAt;
      const reservation = await book.reserve(pool, size, { horizonMs: HORIZON_MS, caller: { name, ageMs } });
      if (reservation.verdict === 'wait') {
        // A pool that pauses comes back before its next call may leave.
        const pauseMs = Math.max(5, reservation.waitMs * (tokens === largeTokens ? 1 : 0.5));
        return timeline.after(pauseMs + random() * 5, send(startedAt));
      }
      if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(reservation.verdict);
      const { departsAt } = reservation.booking;
      calls.push({ at: departsAt, tokens, waitedMs: ageMs });
      timeline.at(departsAt + random(), async () => send(clock.now)());
    };
    await send(clock.now)();
  };
  for (let index = 0; index < 12; index += 1) timeline.after(random() * 5, begin(100, `small ${index}`));
  timeline.after(WINDOW_MS, begin(largeTokens, 'large'));
  await timeline.runUntil(endsAt);
  calls.sort((one, other) => one.at - other.at);
  const start = calls[0]!.at;
  const fullest = calls.map(({ at }) =>
    calls
      .filter((call) => call.at > at - WINDOW_MS && call.at <= at)
      .reduce((sum, call) => sum + call.tokens, 0),
  );
  const settled = calls.filter(({ at }) => at > start + WINDOW_MS && at <= start + windows * WINDOW_MS);
  return {
    large: calls.filter(({ tokens }) => tokens === largeTokens),
    fullest: Math.max(...fullest),
    share: settled.reduce((sum, { tokens }) => sum + tokens, 0) / (LIMIT * (windows - 1)),
  };
}

test.concurrent(
  'a call of half a minute leaves within three windows, however many small ones there are',
  async () => {
    const { large, fullest, share } = await race(LIMIT / 2, 6);
    expect(large.length).toBeGreaterThanOrEqual(1);
    expect(large[0]!.waitedMs).toBeLessThan(3 * WINDOW_MS);
    expect(fullest).toBeLessThanOrEqual(LIMIT);
    expect(share).toBeGreaterThan(0.8);
  },
  40_000,
);

test.concurrent(
  'room is saved for calls of a tenth of a minute, and the limit stays full',
  async () => {
    const { large, fullest, share } = await race(LIMIT / 10, 8);
    expect(large.length).toBeGreaterThanOrEqual(2);
    expect(fullest).toBeLessThanOrEqual(LIMIT);
    expect(share).toBeGreaterThan(0.93);
  },
  60_000,
);
