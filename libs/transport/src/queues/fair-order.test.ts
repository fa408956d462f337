import { stepWakeSchema } from '@millrace/contracts';
import type { Priority } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestRedis, waitFor } from '@millrace/test-support';
import type { TestRedis } from '@millrace/test-support';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createConsumer } from './consumer.ts';
import { createFairOrder, placeTokens } from './fair-order.ts';
import type { FairOrder, OrderedWake } from './fair-order.ts';

const QUEUE = 'calls-openai';
const WEIGHTS: Record<string, number> = { standard: 1, gold: 3 };

let server: TestRedis;
let redis: Redis;
let queue: Queue;
let order: FairOrder;
let errors: Error[];
beforeEach(async () => {
  server = createTestRedis();
  errors = [];
  redis = connect('producer');
  await waitFor(() => redis.status === 'ready', { what: 'redis' });
  queue = new Queue(QUEUE, { connection: redis, prefix: names().queues, skipVersionCheck: true });
  order = orderWith({});
});
afterEach(async () => {
  await queue.close();
  await closeRedis(redis);
  await server.flush();
});

const names = () => keyNames(server.prefix);
const onError = (error: Error) => void errors.push(error);
const connect = (role: 'producer' | 'worker') =>
  connectRedis({ url: server.url, role, name: 'fair-order-test', onError });
const orderWith = (change: { places?: number; graceMs?: number; unit?: number }) =>
  createFairOrder({
    redis,
    names: names(),
    weightOf: (tier) => WEIGHTS[tier] ?? 1,
    unitOf: () => change.unit ?? 250,
    onError,
    ...change,
  });

interface Call {
  tenant: string;
  tokens: number;
  tier?: string;
  priority?: Priority;
  aged?: boolean;
}
let made = 0;
/** Ids tell whose they are: `tenant/number`. */
function wakesOf(call: Call, count: number): (OrderedWake & { tokens: number })[] {
  return Array.from({ length: count }, () => ({
    id: `${call.tenant}/${(made += 1)}`,
    tokens: call.tokens,
    priority: call.priority ?? 'standard',
    charge: {
      tenantId: call.tenant,
      tier: call.tier ?? 'standard',
      tokens: call.tokens,
      aged: call.aged ?? false,
    },
  }));
}
async function put(wakes: readonly OrderedWake[], by = order): Promise<number[]> {
  const numbers: number[] = [];
  for (let at = 0; at < wakes.length; at += 500) {
    const some = wakes.slice(at, at + 500);
    const given = await by.number(queue, some);
    numbers.push(...given);
    await queue.addBulk(
      some.map(({ id }, index) => ({
        name: 'call',
        data: { jobId: id, key: 'k' },
        opts: { jobId: id, priority: given[index]!, removeOnComplete: true, removeOnFail: true },
      })),
    );
  }
  return numbers;
}
const add = (call: Call, count = 1, by = order) => put(wakesOf(call, count), by);

/** One consumer that takes one wake at a time, each when the test says so. */
async function takeOneByOne() {
  const connection = connect('worker');
  const taken: string[] = [];
  let allowed = 0;
  let proceed = Promise.withResolvers<undefined>();
  const consumer = createConsumer({
    queue: QUEUE,
    redis: connection,
    names: names(),
    concurrency: 1,
    payload: stepWakeSchema,
    handle: async ({ jobId }) => {
      taken.push(jobId);
      while (taken.length > allowed) await proceed.promise;
    },
    onFailure: onError,
    onError,
  });
  await consumer.start();
  const allow = (count: number) => {
    allowed = count;
    proceed.resolve(undefined);
    proceed = Promise.withResolvers();
  };
  return {
    taken,
    /** Resolves when `count` wakes in all have been taken; the last of them is under way. */
    async take(count: number) {
      allow(count - 1);
      await waitFor(() => taken.length >= count, {
        timeoutMs: 20_000,
        what: () => `${count}, got ${taken.length}`,
      });
    },
    async end() {
      allow(Infinity);
      await consumer.stop();
      await closeRedis(connection);
    },
  };
}
/** The order in which everything that waits would be taken. */
async function waiting(): Promise<string[]> {
  return redis.zrange(queue.toKey('prioritized'), '0', '-1');
}
const ownerOf = (id: string) => id.split('/')[0]!;
const positionOf = (ids: readonly string[], tenant: string) => ids.findIndex((id) => ownerOf(id) === tenant);

describe('a tenant with a backlog of 10,000 calls', () => {
  it('delays one call of another tenant by no more than three calls', { timeout: 60_000 }, async () => {
    await add({ tenant: 'large', tokens: 1_000 }, 10_000);
    const consumer = await takeOneByOne();
    try {
      await consumer.take(20);
      await add({ tenant: 'small', tokens: 1_000 });
      // Its fair share of the next two calls is one of them.
      expect(positionOf(await waiting(), 'small')).toBeLessThanOrEqual(3);
      await consumer.take(200);
      await add({ tenant: 'small', tokens: 1_000 });
      expect(positionOf(await waiting(), 'small')).toBeLessThanOrEqual(3);
    } finally {
      await consumer.end();
    }
  });

  it('delays a large call by what that call takes itself', { timeout: 60_000 }, async () => {
    await add({ tenant: 'large', tokens: 1_000 }, 2_000);
    const consumer = await takeOneByOne();
    try {
      await consumer.take(50);
      await add({ tenant: 'small', tokens: 100_000 });
      const before = positionOf(await waiting(), 'small');
      expect(before).toBeGreaterThanOrEqual(90);
      expect(before).toBeLessThanOrEqual(110);
    } finally {
      await consumer.end();
    }
  });
});

it('few calls of 100,000 tokens do not stand in the way of small ones', async () => {
  await add({ tenant: 'large', tokens: 100_000 }, 50);
  const consumer = await takeOneByOne();
  try {
    await consumer.take(3);
    await add({ tenant: 'small', tokens: 1_000 }, 150);
    const order = await waiting();
    // Two calls of the large tenant are worth 200 small ones.
    expect(order.slice(0, 90).map(ownerOf)).toEqual(Array.from({ length: 90 }, () => 'small'));
    expect(
      order
        .slice(0, 150)
        .map(ownerOf)
        .filter((owner) => owner === 'large').length,
    ).toBeLessThanOrEqual(2);
  } finally {
    await consumer.end();
  }
});

it('tenants of weights 1 and 3 get tokens 1 to 3, whatever the size of their calls', async () => {
  await add({ tenant: 'plain', tokens: 1_000 }, 300);
  await add({ tenant: 'golden', tokens: 4_000, tier: 'gold' }, 300);
  const tokens = { plain: 0, golden: 0 };
  for (const id of (await waiting()).slice(0, 200)) {
    tokens[ownerOf(id) as 'plain'] += ownerOf(id) === 'plain' ? 1_000 : 4_000;
  }
  expect(tokens.golden / tokens.plain).toBeGreaterThan(2.7);
  expect(tokens.golden / tokens.plain).toBeLessThan(3.3);
});

it('calls that cost less than a place are taken in turn with those of a tenant that has nothing waiting', async () => {
  await add({ tenant: 'large', tokens: 10 }, 500);
  const consumer = await takeOneByOne();
  try {
    await consumer.take(5);
    await add({ tenant: 'small', tokens: 10 });
    expect(positionOf(await waiting(), 'small')).toBeLessThanOrEqual(3);
  } finally {
    await consumer.end();
  }
});

it('classes are strict: background waits for standard, and standard for realtime', async () => {
  await add({ tenant: 'a', tokens: 1, priority: 'background' }, 3);
  await add({ tenant: 'b', tokens: 900_000_000, priority: 'standard' }, 3);
  await add({ tenant: 'c', tokens: 900_000_000, priority: 'realtime' }, 3);
  expect((await waiting()).map(ownerOf)).toEqual(['c', 'c', 'c', 'b', 'b', 'b', 'a', 'a', 'a']);
});

it('within a tenant the old goes before the new, and between newcomers the short before the long', async () => {
  const first = wakesOf({ tenant: 'a', tokens: 5_000 }, 3);
  await put(first);
  await add({ tenant: 'long', tokens: 3_000 });
  await add({ tenant: 'short', tokens: 500 });
  const ids = await waiting();
  expect(ids.filter((id) => ownerOf(id) === 'a')).toEqual(first.map(({ id }) => id));
  expect(ids.slice(0, 3).map(ownerOf)).toEqual(['short', 'long', 'a']);
});

it('a step that was handed out before keeps its place: it goes before newcomers, and its tenant pays nothing', async () => {
  await add({ tenant: 'a', tokens: 1_000 }, 10);
  await put([{ id: 'again/1', priority: 'standard', charge: null }]);
  expect((await waiting())[0]).toBe('again/1');
  await put([
    ...wakesOf({ tenant: 'a', tokens: 1_000 }, 1),
    { id: 'again/2', priority: 'standard', charge: null },
  ]);
  expect((await waiting()).slice(0, 2)).toEqual(['again/1', 'again/2']);
  await add({ tenant: 'again', tokens: 1_000 });
  expect(positionOf((await waiting()).slice(2), 'again')).toBeLessThanOrEqual(1);
});

it('a wake that is on the queue already is not charged again', async () => {
  const wakes = wakesOf({ tenant: 'a', tokens: 10_000 }, 100);
  await put(wakes);
  const [once] = await add({ tenant: 'a', tokens: 10_000 });
  for (let round = 0; round < 5; round += 1) await put(wakes);
  const [twice] = await add({ tenant: 'a', tokens: 10_000 });
  expect(twice! - once!).toBe(10_000 / 250);
  expect(await queue.getPrioritizedCount()).toBe(102);
});

it('what a tenant had while nobody else wanted anything is not held against it', async () => {
  const quick = orderWith({ graceMs: 20 });
  const consumer = await takeOneByOne();
  try {
    await add({ tenant: 'busy', tokens: 10_000 }, 100, quick);
    await consumer.take(100);
    // Each wake of another tenant tells how far the class has come: all that busy had is paid for in the end.
    const comesTo = async () =>
      (await quick.number(queue, wakesOf({ tenant: `watch${made}`, tokens: 1 }, 1)))[0]! - 700_001;
    await waitFor(async () => (await comesTo()) >= 4_000, { what: 'the tags to be settled' });
    await add({ tenant: 'rival', tokens: 10_000 }, 50, quick);
    await add({ tenant: 'busy', tokens: 10_000 }, 1, quick);
    expect(positionOf(await waiting(), 'busy')).toBeLessThanOrEqual(2);
  } finally {
    await consumer.end();
  }
});

describe('when numbers come to an end', () => {
  it(
    'a class is re-based: the order stays, newcomers fit in, and the numbers stay within its places',
    { timeout: 60_000 },
    async () => {
      const tiny = orderWith({ places: 160, unit: 1, graceMs: 50 });
      const consumer = await takeOneByOne();
      const takenOf = (tenant: string) => consumer.taken.filter((id) => ownerOf(id) === tenant).length;
      let renumbered = 0;
      try {
        await add({ tenant: 'a', tokens: 1 }, 30, tiny);
        await add({ tenant: 'b', tokens: 1 }, 30, tiny);
        for (let round = 1; round <= 40; round += 1) {
          await consumer.take(round * 20);
          const numbers = [
            ...(await add({ tenant: 'a', tokens: 1 }, 10, tiny)),
            ...(await add({ tenant: 'b', tokens: 1 }, 10, tiny)),
          ];
          expect(Math.max(...numbers)).toBeLessThan(700_001 + 160);
          expect(Math.min(...numbers)).toBeGreaterThan(700_000);
          const before = await waiting();
          const some = await tiny.rebase(queue);
          renumbered += some;
          expect(await waiting()).toEqual(before);
          // Served alike all the time, and nobody is left behind.
          expect(Math.abs(takenOf('a') - takenOf('b'))).toBeLessThanOrEqual(4);
        }
        expect(renumbered).toBeGreaterThan(100);
        await add({ tenant: 'newcomer', tokens: 1 }, 1, tiny);
        expect(positionOf(await waiting(), 'newcomer')).toBeLessThanOrEqual(3);
        await consumer.take(800 + 60);
        for (const tenant of ['a', 'b']) {
          const mine = consumer.taken
            .filter((id) => ownerOf(id) === tenant)
            .map((id) => Number(id.split('/')[1]));
          expect(mine).toEqual(mine.toSorted((x, y) => x - y));
        }
      } finally {
        await consumer.end();
      }
    },
  );

  it(
    'a backlog of many times the places keeps its order, and newcomers are never behind it',
    { timeout: 60_000 },
    async () => {
      const tiny = orderWith({ places: 16_000, unit: 1, graceMs: 50 });
      const consumer = await takeOneByOne();
      try {
        const numbers = await add({ tenant: 'a', tokens: 300 }, 400, tiny);
        expect(Math.max(...numbers)).toBeLessThanOrEqual(700_000 + 16_000);
        let renumbered = 0;
        for (let round = 1; round <= 70; round += 1) {
          await consumer.take(round * 5);
          renumbered += await tiny.rebase(queue);
          await add({ tenant: 'b', tokens: 300 }, 1, tiny);
          expect(positionOf(await waiting(), 'b')).toBeLessThanOrEqual(3);
        }
        expect(renumbered).toBeGreaterThan(1_000);
        const mine = consumer.taken.filter((id) => ownerOf(id) === 'a').map((id) => Number(id.split('/')[1]));
        expect(mine).toEqual(mine.toSorted((x, y) => x - y));
      } finally {
        await consumer.end();
      }
    },
  );
});

describe('a step that is raised', () => {
  it('leaves its class for the next one, where it neither goes before newcomers of others nor delays those of its tenant', async () => {
    const old = wakesOf({ tenant: 'a', tokens: 1_000, priority: 'background' }, 200);
    await put(old);
    await add({ tenant: 'other', tokens: 1_000, priority: 'background' }, 5);
    await order.raise(
      queue,
      old.map((wake) => ({ ...wake, priority: 'standard', charge: { ...wake.charge!, aged: true } })),
    );
    expect((await waiting()).slice(0, 200)).toEqual(old.map(({ id }) => id));
    await add({ tenant: 'b', tokens: 1_000 });
    await add({ tenant: 'a', tokens: 1_000 });
    const ids = await waiting();
    const fresh = ids.filter((id) => !old.some((each) => each.id === id));
    expect(ids.indexOf(fresh[0]!)).toBeLessThanOrEqual(2);
    expect(ids.indexOf(fresh[1]!)).toBeLessThanOrEqual(3);
  });

  it('up to realtime is taken within its share there, however much new work keeps coming', async () => {
    const consumer = await takeOneByOne();
    const old = wakesOf({ tenant: 'patient', tokens: 1_000 }, 1);
    await put(old);
    await add({ tenant: 'a', tokens: 1_000, priority: 'realtime' }, 30);
    await order.raise(queue, [
      { ...old[0]!, priority: 'realtime', charge: { ...old[0]!.charge!, aged: true } },
    ]);
    try {
      for (let round = 1; round <= 10; round += 1) {
        await add({ tenant: 'a', tokens: 1_000, priority: 'realtime' }, 5);
        await add({ tenant: `new-${round}`, tokens: 1_000, priority: 'realtime' }, 3);
        await consumer.take(round * 3);
      }
      // A quarter of the weight: its 1,000 tokens wait for 4,000 of each of the others that are there.
      expect(positionOf(consumer.taken, 'patient')).toBeGreaterThanOrEqual(0);
    } finally {
      await consumer.end();
    }
  });

  it('and has gone meanwhile is no trouble', async () => {
    await order.raise(queue, wakesOf({ tenant: 'a', tokens: 1 }, 3));
    expect(await waiting()).toEqual([]);
  });
});

it('numbers are sane when Redis has lost everything', async () => {
  await add({ tenant: 'a', tokens: 100_000 }, 200);
  await server.flush();
  const numbers = await add({ tenant: 'a', tokens: 1_000 }, 2);
  expect(numbers[0]).toBeLessThanOrEqual(700_001 + 4);
  await add({ tenant: 'b', tokens: 1_000 });
  expect((await waiting()).map(ownerOf)).toEqual(['a', 'b', 'a']);
});

it('a script that Redis refuses leaves the order of the classes', async () => {
  await redis.set(names().order(QUEUE, 'standard'), 'no hash');
  await add({ tenant: 'a', tokens: 1, priority: 'background' });
  expect(await add({ tenant: 'a', tokens: 1 })).toEqual([700_000]);
  expect((await waiting()).length).toBe(2);
  expect(errors[0]?.message).toContain('WRONGTYPE');
});

it('a place of a pool is a twentieth of a second of its tokens', () => {
  expect(placeTokens(1_200_000)).toBe(1_000);
  expect(placeTokens(null)).toBe(250);
  expect(placeTokens(10)).toBe(1);
});

describe('what comes back because the pool is full', () => {
  it('has its old place again, and newcomers of others do not stand behind all of it', async () => {
    const places = await add({ tenant: 'large', tokens: 100_000 }, 80);
    const consumer = await takeOneByOne();
    try {
      // So many were handed out and sent back, in any order; each is a new state of its step.
      await consumer.take(60);
      await waitFor(async () => (await queue.getActiveCount()) === 1, { what: 'the last one to be alone' });
      const back = [...places.slice(2, 59)].reverse();
      await put(
        back.map((place) => ({ id: `large/back-${place}`, priority: 'standard', charge: null, place })),
      );
      const again = (await waiting()).slice(0, back.length);
      expect(again).toEqual(back.toReversed().map((place) => `large/back-${place}`));
      await add({ tenant: 'small', tokens: 1_000 });
      expect(positionOf(await waiting(), 'small')).toBeLessThanOrEqual(1);
      // Its own backlog waits its turn behind that: of two calls of the large one it may have 200.
      await add({ tenant: 'small', tokens: 1_000 }, 150);
      const owners = (await waiting()).slice(0, 150).map(ownerOf);
      expect(owners.filter((owner) => owner === 'large').length).toBeGreaterThanOrEqual(1);
      expect(owners.filter((owner) => owner === 'large').length).toBeLessThanOrEqual(3);
    } finally {
      await consumer.end();
    }
  });

  it('is not forgotten while all of it has been handed out once more', async () => {
    const places = await add({ tenant: 'large', tokens: 100_000 }, 80);
    const consumer = await takeOneByOne();
    try {
      await consumer.take(40);
      await put(
        places
          .slice(2, 39)
          .map((place) => ({ id: `back-${place}`, priority: 'standard', charge: null, place })),
      );
      await consumer.take(40 + 37);
      await add({ tenant: 'small', tokens: 1_000 });
      // Behind two that were really served, and not behind the forty that were handed out.
      const [number] = await order.number(queue, wakesOf({ tenant: 'other', tokens: 1_000 }, 1));
      expect(number! - 700_000).toBeLessThanOrEqual(places[3]! - 700_000);
    } finally {
      await consumer.end();
    }
  });

  it('goes to the front of the class that it was raised to meanwhile', async () => {
    const [place] = await add({ tenant: 'a', tokens: 1_000, priority: 'background' });
    await add({ tenant: 'b', tokens: 1_000 });
    await put([{ id: 'raised/1', priority: 'standard', charge: null, place: place! }]);
    expect((await waiting())[0]).toBe('raised/1');
  });
});
