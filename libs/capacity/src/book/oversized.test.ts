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

const tiny = { inputTokens: 1, maxOutputTokens: 1 };
const large = { inputTokens: 0, maxOutputTokens: 20_000 };
const MINUTE_MS = 60_000;
const ASK_EVERY_MS = 15_000;
const refused = {
  verdict: 'too_large',
  dimension: 'tokens',
  limit: 10_000,
  requested: 20_000,
  isLearned: true,
};

/** A pool of 100,000 tokens a minute as configured, and of 10,000 as an answer told. */
async function openToldPool() {
  const pool = books.newPool();
  const { clock, bookOptions } = createTimeline();
  const options = bookOptions(books.redis, `${books.prefix}${pool}`);
  const book = books.open(pool, { tokens: 100_000 }, options);
  const other = books.open(pool, { tokens: 100_000 }, options);
  const booking = await mustLeave(book, pool, tiny);
  const tell = (limit: number) =>
    book.observe(pool, { tokens: { limit, remaining: limit - 1, resetMs: MINUTE_MS } }, booking);
  await tell(10_000);
  /** One that may leave does not. */
  const ask = (...names: string[]) =>
    Promise.all(
      names.map(async (name) => {
        const reservation = await other.reserve(pool, large, { caller: { name, ageMs: 0 } });
        if (reservation.verdict === 'leave') await other.settle(reservation.booking, { sent: false });
        return reservation;
      }),
    );
  return {
    ...{ tell, ask },
    pass: (ms: number) => (clock.now += ms),
    quote: () => book.quote(pool, large),
    askSmall: () => mustLeave(book, pool, tiny),
    /** The calls come as often as they are told to; small ones leave meanwhile. All of them must wait. */
    keepAsking: async (ms: number, ...names: string[]): Promise<void> => {
      for (let passed = 0; passed < ms; passed += ASK_EVERY_MS) {
        await mustLeave(book, pool, tiny);
        for (const reservation of await ask(...names)) {
          expect(reservation).toMatchObject({
            verdict: 'wait',
            waitMs: 15_000,
            reason: 'tokens',
            poolWaitMs: 0,
          });
        }
        clock.now += ASK_EVERY_MS;
      }
    },
  };
}

test('a call that was larger than a limit which headers told for five minutes is refused with that limit', async () => {
  const { ask, pass, keepAsking } = await openToldPool();
  await keepAsking(5 * MINUTE_MS, 'call');
  pass(-1);
  expect(await ask('call')).toMatchObject([{ verdict: 'wait', waitMs: 15_000 }]);
  pass(1);
  // What was told is known for all calls, of however many there are.
  expect(await ask('call', 'another')).toEqual([refused, refused]);
});

test('one that fitted in between is no longer too large for all that was told', async () => {
  const { ask, tell, keepAsking } = await openToldPool();
  await keepAsking(4 * MINUTE_MS, 'call');
  await tell(100_000);
  expect(await ask('call')).toMatchObject([{ verdict: 'leave' }]);
  await tell(10_000);
  await keepAsking(6 * MINUTE_MS, 'call');
  expect(await ask('call')).toEqual([refused]);
});

test('a limit that another call met counts, too, where the models of a pool are told different ones', async () => {
  const { tell, askSmall, keepAsking } = await openToldPool();
  for (let round = 0; round < 4; round += 1) {
    await keepAsking(2 * MINUTE_MS, 'call');
    await tell(100_000);
    await askSmall();
    await tell(10_000);
  }
});

test('one that asks seldom is refused all the same', async () => {
  const { ask, pass } = await openToldPool();
  for (const minutes of [4, 5]) {
    expect(await ask('call')).toMatchObject([{ verdict: 'wait', isLearned: true }]);
    pass(minutes * MINUTE_MS);
  }
  expect(await ask('call')).toEqual([refused]);
});

test('nothing is known after a quarter of an hour without one', async () => {
  const { ask, askSmall, pass, tell, keepAsking } = await openToldPool();
  await keepAsking(5 * MINUTE_MS, 'call');
  pass(15 * MINUTE_MS);
  await askSmall();
  await tell(10_000);
  expect(await ask('call')).toMatchObject([{ verdict: 'wait' }]);
});

test('who only asks how long it would take is told to wait, and is not remembered', async () => {
  const { ask, quote, keepAsking } = await openToldPool();
  for (let minutes = 0; minutes < 6; minutes += 1) {
    expect(await quote()).toBe(15_000);
    await keepAsking(MINUTE_MS);
  }
  expect(await quote()).toBe(15_000);
  expect(await ask('call')).toMatchObject([{ verdict: 'wait' }]);
});
