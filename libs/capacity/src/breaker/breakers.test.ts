import { keyNames } from '@millrace/redis';
import { waitFor } from '@millrace/test-support';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withClock } from '../testing/clocked-redis.ts';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createBreakers } from './breakers.ts';
import type { BreakerPolicy, Breakers } from './breakers.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

/** A process that remembers nothing longer than it must. */
function openBreakers(
  policy: BreakerPolicy = {},
  onOpened?: (opening: unknown) => void,
  redis: Redis = books.redis,
): Breakers {
  let now = 0;
  const onError = (error: unknown): void => {
    throw error;
  };
  const options = {
    redis,
    names: keyNames(books.prefix),
    onError,
    policy,
    now: () => (now += 1_000),
  };
  return createBreakers(onOpened ? { ...options, onOpened } : options);
}

/** Breakers on a clock that only the test moves. */
function openClockedBreakers(policy: BreakerPolicy) {
  const clock = { now: Date.UTC(2030, 0, 1) };
  const redis = withClock(books.redis, clock, `${books.prefix}:breaker-clock`);
  return { clock, breakers: openBreakers(policy, undefined, redis) };
}

async function fail(breakers: Breakers, target: string, calls: number): Promise<void> {
  for (let call = 0; call < calls; call += 1) await breakers.record(target, false);
}

test('a few failures, or half of many, open nothing', async () => {
  const breakers = openBreakers();
  await fail(breakers, 'few', 9);
  expect(await breakers.allow('few')).toBe('yes');
  for (let call = 0; call < 20; call += 1) await breakers.record('half', call % 2 === 0);
  expect(await breakers.allow('half')).toBe('yes');
  await fail(breakers, 'half', 1);
  expect(await breakers.state('half')).toBe('open');
});

test('above half of the calls of a minute it opens for the whole fleet and says so once', async () => {
  const openings: unknown[] = [];
  const [one, other] = [openBreakers({}, (o) => openings.push(o)), openBreakers({}, (o) => openings.push(o))];
  await Promise.all([fail(one, 'down', 15), fail(other, 'down', 15)]);
  expect(openings).toEqual([{ target: 'down', calls: 10, errors: 10 }]);
  expect(await one.allow('down')).toBe('no');
  expect(await other.allow('down')).toBe('no');
  expect(await other.allow('elsewhere')).toBe('yes');
});

test('failures of another minute are forgotten', async () => {
  const breakers = openBreakers({ windowMs: 300 });
  await fail(breakers, 'old', 9);
  await waitFor(async () => (await books.redis.exists(keyNames(books.prefix).breaker('old'))) === 0, {
    what: 'the window to pass',
  });
  await fail(breakers, 'old', 9);
  expect(await breakers.state('old')).toBe('closed');
});

test('after its time one probe goes, fleet-wide, and two that go well close it', async () => {
  const policy = { openMs: 50 };
  const [one, other] = [openBreakers(policy), openBreakers(policy)];
  await fail(one, 'back', 10);
  await waitFor(async () => (await one.state('back')) === 'half_open', { what: 'the open time to end' });
  const verdicts = await Promise.all([one, other, one, other].map((each) => each.allow('back')));
  expect(verdicts.toSorted()).toEqual(['no', 'no', 'no', 'probe']);

  await other.record('back', true);
  expect(await one.state('back')).toBe('half_open');
  await one.record('back', true, 'probe');
  expect(await other.allow('back')).toBe('probe');
  await other.record('back', true, 'probe');
  expect(await one.allow('back')).toBe('yes');
});

test('a probe that fails opens it again, for twice as long', async () => {
  const { clock, breakers } = openClockedBreakers({ openMs: 50 });
  await fail(breakers, 'still', 10);
  clock.now += 49;
  expect(await breakers.allow('still')).toBe('no');
  clock.now += 1;
  expect(await breakers.allow('still')).toBe('probe');
  await breakers.record('still', false, 'probe');
  clock.now += 99;
  expect(await breakers.allow('still')).toBe('no');
  clock.now += 1;
  expect(await breakers.allow('still')).toBe('probe');
});

test('a probe whose owner died makes room for another', async () => {
  const { clock, breakers } = openClockedBreakers({ openMs: 1, probeLeaseMs: 100 });
  await fail(breakers, 'dead', 10);
  clock.now += 1;
  expect(await breakers.allow('dead')).toBe('probe');
  clock.now += 99;
  expect(await breakers.allow('dead')).toBe('no');
  clock.now += 1;
  expect(await breakers.allow('dead')).toBe('probe');
});

test('an answer is remembered for a quarter of a second', async () => {
  let now = 0;
  const onError = (): void => undefined;
  const names = keyNames(books.prefix);
  const breakers = createBreakers({ redis: books.redis, names, onError, now: () => now });
  expect(await breakers.allow('kept')).toBe('yes');
  await fail(openBreakers(), 'kept', 10);
  expect(await breakers.allow('kept')).toBe('yes');
  now = 251;
  expect(await breakers.allow('kept')).toBe('no');
});

test('a probe that says nothing makes room for another one at once', async () => {
  const breakers = openBreakers({ openMs: 1, leastCalls: 1 });
  await fail(breakers, 'released', 1);
  await waitFor(async () => (await breakers.allow('released')) === 'probe', { what: 'the first probe' });
  expect(await breakers.allow('released')).toBe('no');
  await breakers.release('released');
  expect(await breakers.allow('released')).toBe('probe');
  await breakers.record('released', true, 'probe');
  await breakers.release('released');
  expect(await breakers.state('released')).toBe('half_open');
});
