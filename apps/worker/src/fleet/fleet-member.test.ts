import { createDrainMeter, composePlan, createFleet } from '@millrace/capacity';
import type { Fleet } from '@millrace/capacity';
import type { Service } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestRedis, waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest';
import { createFleetMember } from './fleet-member.ts';
import { createPoolMeter } from './pool-meter.ts';

const testRedis = createTestRedis();
const redis = connectRedis({ url: testRedis.url, role: 'worker', name: 'fleet', onError: () => undefined });
const names = keyNames(testRedis.prefix);
const fleet = createFleet({ redis, names });

/** What a worker's consumer was told last; before, what it began with. */
interface Member {
  share: number;
  service: Service;
}
const members: Member[] = [];
let granted = 12;
let planning: NodeJS.Timeout;

/** Stands in for the scheduler: grants a number, whatever waits. */
async function plan(): Promise<void> {
  const signs = await fleet.list();
  const composed = composePlan({
    pools: ['openai'],
    backlog: [],
    signs,
    readings: new Map(),
    domains: new Map(),
    drain: createDrainMeter(),
    policy: {
      targetWaitMs: { realtime: 1, standard: 1, background: 1 },
      minConcurrency: 1,
      maxConcurrency: granted,
    },
    processCapacity: 8,
    now: Date.now(),
  });
  await fleet.publish(composed);
}

async function join(id: string, how: Partial<Fleet> = {}): Promise<Member> {
  const member: Member = { share: 8, service: undefined as never };
  const consumer = { setConcurrency: (share: number) => void (member.share = share) };
  member.service = createFleetMember({
    fleet: { ...fleet, ...how },
    worker: id,
    capacity: 8,
    meter: createPoolMeter(['openai']),
    consumers: new Map([['openai', consumer]]),
    onError: () => undefined,
  });
  members.push(member);
  await member.service.start();
  return member;
}

const shares = (): number[] => members.map(({ share }) => share);

beforeAll(() => redis.ping());
beforeEach(() => {
  granted = 12;
  planning = setInterval(() => void plan(), 500);
});
afterEach(async () => {
  clearInterval(planning);
  for (const { service } of members.splice(0)) await service.stop();
  await redis.del(names.scalingPlan, names.fleet);
});
afterAll(async () => {
  await testRedis.flush();
  await closeRedis(redis);
});

test('workers share what was granted, and one that joins gets its part', async () => {
  const first = await join('a');
  await waitFor(() => first.share === 8, { what: 'the first to have all that it carries' });
  await join('b');
  await waitFor(() => shares().join() === '6,6', { what: () => `even shares; they are ${shares().join()}` });
  await join('c');
  await waitFor(() => shares().join() === '4,4,4', {
    what: () => `even shares; they are ${shares().join()}`,
  });
});

test('a worker that stops leaves its share at once, one that dies within ten seconds', async () => {
  granted = 6;
  await join('a');
  const leaving = await join('b');
  // Dies: it says nothing any more, and nobody says that it left.
  const dying = await join('dying', { leave: () => Promise.resolve() });
  await waitFor(() => shares().join() === '2,2,2', {
    what: () => `even shares; they are ${shares().join()}`,
  });
  await leaving.service.stop();
  await waitFor(() => members[0]?.share === 3, { timeoutMs: 4_000, what: 'the share of who left' });
  await dying.service.stop();
  const diedAt = performance.now();
  // The last look that did not see it yet: this process may have had no time for the next one.
  let lastMissedAt = diedAt;
  const hasAll = (): boolean => {
    if (members[0]?.share === 6) return true;
    lastMissedAt = performance.now();
    return false;
  };
  await waitFor(hasAll, { timeoutMs: 15_000, what: 'the share of who died' });
  expect(lastMissedAt - diedAt).toBeLessThan(10_500);
}, 40_000);

test('without a plan, and without Redis, a worker keeps what it has', async () => {
  granted = 3;
  let isAway = false;
  const away = (): Promise<never> => Promise.reject(new Error('away'));
  const member = await join('a', {
    announce: (sign) => (isAway ? away() : fleet.announce(sign)),
    readPlan: () => (isAway ? away() : fleet.readPlan()),
  });
  await waitFor(() => member.share === 3, { what: 'the share' });
  clearInterval(planning);
  await redis.del(names.scalingPlan);
  let looks = 0;
  const watched = await join('b', { readPlan: async () => ((looks += 1), fleet.readPlan()) });
  await waitFor(() => looks > 1, { what: 'a look at no plan' });
  expect([member.share, watched.share]).toEqual([3, 8]);
  isAway = true;
  await waitFor(() => looks > 3, { timeoutMs: 6_000, what: 'more looks' });
  expect([member.share, watched.share]).toEqual([3, 8]);
});
