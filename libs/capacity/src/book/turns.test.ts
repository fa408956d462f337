import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createTimeline } from '../testing/timeline.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

const second = { inputTokens: 0, maxOutputTokens: 1_000 };

/** A pool that lets a call of a second's worth go each second, booked as far ahead as callers wait for. */
async function openFullPool() {
  const pool = books.newPool();
  const { clock, bookOptions } = createTimeline();
  const book = books.open(pool, { tokens: 60_000 }, bookOptions(books.redis, `${books.prefix}${pool}`));
  const ask = (name: string, place: number, size = second) =>
    book.reserve(pool, size, { caller: { name, ageMs: 0 }, place });
  let before = 0;
  while ((await book.reserve(pool, second)).verdict === 'leave') before += 1;
  expect(before).toBeGreaterThan(1);
  return { ask, pass: (ms: number) => (clock.now += ms) };
}

test('when a full pool has room again, a caller that asks first does not go before one of an earlier place', async () => {
  const { ask, pass } = await openFullPool();
  expect(await ask('small', 20)).toMatchObject({ verdict: 'wait', reason: 'tokens', keepsTurn: true });
  pass(2_000);
  expect(await ask('large', 30)).toMatchObject({ verdict: 'wait', reason: 'turn', keepsTurn: true });
  expect(await ask('small', 20)).toMatchObject({ verdict: 'leave' });
  expect(await ask('large', 30)).toMatchObject({ verdict: 'leave' });
});

test('calls that share a place, and those that have an earlier one, do not wait for it', async () => {
  const { ask, pass } = await openFullPool();
  await ask('small', 20);
  pass(2_000);
  expect(await ask('another', 20)).toMatchObject({ verdict: 'leave' });
  expect(await ask('urgent', 5)).toMatchObject({ verdict: 'leave' });
});

test('one that does not come keeps others waiting until half a second before the room is there', async () => {
  const { ask, pass } = await openFullPool();
  const refused = await ask('small', 20);
  if (refused.verdict !== 'wait') throw new Error(refused.verdict);
  pass(refused.waitMs - 501);
  expect(await ask('large', 30)).toMatchObject({ verdict: 'wait', reason: 'turn' });
  pass(2);
  expect(await ask('large', 30)).toMatchObject({ verdict: 'leave' });
});

test('the eight foremost are remembered, and forgotten when they have booked', async () => {
  const { ask, pass } = await openFullPool();
  for (let place = 40; place > 20; place -= 1) await ask(`call ${place}`, place);
  pass(2_000);
  expect(await ask('call 28', 28)).toMatchObject({ reason: 'turn' });
  expect(await ask('call 21', 21)).toMatchObject({ verdict: 'leave' });
  expect(await ask('call 28', 28)).toMatchObject({ reason: 'turn' });
  expect(await ask('call 22', 22)).toMatchObject({ verdict: 'leave' });
  pass(1_000);
  for (let place = 23; place < 28; place += 1) {
    expect(await ask(`call ${place}`, place)).toMatchObject({ verdict: 'leave' });
    pass(1_000);
  }
  expect(await ask('call 40', 40)).toMatchObject({ verdict: 'leave' });
});

test('one that waits for its own size, and not for the pool, holds nobody up', async () => {
  const { ask, pass } = await openFullPool();
  const large = { inputTokens: 0, maxOutputTokens: 59_000 };
  await ask('large', 20);
  expect(await ask('large', 20, large)).toMatchObject({ verdict: 'wait', keepsTurn: false });
  pass(2_000);
  expect(await ask('small', 30)).toMatchObject({ verdict: 'leave' });
});
