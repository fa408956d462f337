import { keyNames } from '@millrace/redis';
import type { WorkerSign } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { createFleet } from './fleet.ts';
import type { Fleet } from './fleet.ts';

let books: TestBooks;
let fleet: Fleet;
beforeAll(async () => {
  books = await openTestBooks();
  fleet = createFleet({ redis: books.redis, names: keyNames(books.prefix) });
});
afterAll(() => books.close());

const sign = (id: string, ended = 0): WorkerSign => ({
  id,
  capacity: 8,
  pools: { openai: { running: 1, ended, holdMs: null, oldestMs: 12.5 } },
});

test('who announces itself is known with what it said last, and who leaves is not', async () => {
  await fleet.announce(sign('b'));
  await fleet.announce(sign('a'));
  await fleet.announce(sign('a', 7));
  expect(await fleet.list()).toEqual([sign('a', 7), sign('b')]);
  await fleet.leave('a');
  expect(await fleet.list()).toEqual([sign('b')]);
});

test('who is silent for six seconds counts as dead', async () => {
  const beforeAt = performance.now();
  await fleet.announce(sign('silent'));
  const announcedAt = performance.now();
  let lastSeenAt = 0;
  const lives = async (): Promise<boolean> => {
    const askedAt = performance.now();
    const isThere = (await fleet.list()).some(({ id }) => id === 'silent');
    if (isThere) lastSeenAt = askedAt;
    return isThere;
  };
  expect(await lives()).toBe(true);
  await waitFor(async () => !(await lives()), { timeoutMs: 12_000, what: 'the silent one to be missed' });
  expect(performance.now() - beforeAt).toBeGreaterThan(5_900);
  expect(lastSeenAt - announcedAt).toBeLessThan(7_500);
}, 20_000);

test('what this version cannot read counts as no worker', async () => {
  const key = keyNames(books.prefix).fleet;
  await fleet.announce({ ...sign('odd'), capacity: 'many' } as unknown as WorkerSign);
  expect((await fleet.list()).map(({ id }) => id)).not.toContain('odd');
  await books.redis.hdel(key, 'odd');
});

test('a plan is read as it was published', async () => {
  expect(await fleet.readPlan()).toBeNull();
  const plan = { workers: [{ id: 'a', capacity: 8, pools: ['openai'] }], wantedProcesses: 1, pools: {} };
  await fleet.publish(plan);
  expect(await fleet.readPlan()).toEqual(plan);
  expect(await books.redis.pttl(keyNames(books.prefix).scalingPlan)).toBeGreaterThan(5_000);
});
