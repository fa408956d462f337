import { comparePositions } from '@millrace/contracts';
import type { EventPosition } from '@millrace/contracts';
import { keyNames } from '@millrace/redis';
import { createTestRedis, waitFor, withTimeout } from '@millrace/test-support';
import { createLivePublisher } from '@millrace/transport';
import type { LiveFeed } from '@millrace/transport';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { followJob } from './follow-job.ts';
import type { FollowedEvent } from './follow-job.ts';
import { setUpResults, tenantId } from './testing/results-setup.ts';
import type { ResultsSetup } from './testing/results-setup.ts';
import { collect } from './testing/collect.ts';
import type { Collection } from './testing/collect.ts';
import { acceptScriptedJob, runRandomly, seededRandom } from './testing/scripted-job.ts';

const testRedis = createTestRedis();
let setup: ResultsSetup;

beforeAll(async () => {
  setup = await setUpResults({ redisUrl: testRedis.url, prefix: testRedis.prefix });
});

afterAll(async () => {
  await setup.stop();
  await testRedis.flush();
});

test('a follower gets the whole record of a job that two workers write, once and in order', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await runRandomly(job, setup.publishers, {
    random: seededRandom(1),
    stepsEach: 4,
    deltasEach: 30,
    pauseMs: 2,
  });
  const followed = await withTimeout(following.done, 10_000, 'the end of the job');
  expect(followed).toEqual(await job.record());
  expect(followed.at(-1)).toMatchObject({ event: { type: 'job.completed' } });
});

test('a follower who comes after the end gets the same', async () => {
  const job = await acceptScriptedJob(setup.database);
  const options = { random: seededRandom(2), stepsEach: 1, deltasEach: 700, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  const followed = await follow(job.id).done;
  expect(followed.length).toBeGreaterThan(1_400);
  expect(followed).toEqual(await job.record());
});

test('a follower may go on after any position', async () => {
  const job = await acceptScriptedJob(setup.database);
  const options = { random: seededRandom(3), stepsEach: 3, deltasEach: 10, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  const record = await job.record();
  for (const [index, { position }] of record.entries()) {
    const rest = await follow(job.id, position).done;
    expect(rest).toEqual(record.slice(index + 1));
  }
});

test('a follower misses nothing while its subscription is killed again and again', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  const random = seededRandom(4);
  let isOver = false;
  const killing = (async () => {
    let kills = 0;
    while (!isOver) {
      kills += Number(await killClients(`${testRedis.prefix}-subscriber`));
      await waitFor(() => setup.subscriber.status === 'ready', { what: 'the subscriber', intervalMs: 5 });
    }
    return kills;
  })();
  await runRandomly(job, setup.publishers, { random, stepsEach: 4, deltasEach: 40, pauseMs: 6 });
  isOver = true;
  const followed = await withTimeout(following.done, 15_000, 'the end of the job');
  expect(await killing).toBeGreaterThan(3);
  expect(followed).toEqual(await job.record());
});

test('a follower misses nothing while the connection it reads with is killed', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  for (let index = 0; index < 20; index += 1) {
    expect(await killClients(`${testRedis.prefix}-reader`)).toBeLessThan(2);
    await attempt.say(`${index} `);
  }
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  const followed = await withTimeout(following.done, 15_000, 'the end of the job');
  expect(followed).toEqual(await job.record());
});

test('events that are announced in the wrong order arrive in the right one', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  const held: Parameters<(typeof setup.publishers)[0]['publishEvents']>[0][number][] = [];
  const silent = {
    ...setup.publishers[0],
    publishEvents: async (events: typeof held) => void held.push(...events),
  };
  await job.start(['a', 'b'], setup.publishers[0]);
  await following.has(2);
  const a = await job.send('a', silent);
  const b = await job.send('b', silent);
  await setup.publishers[1].publishEvents(held.slice(1));
  await b.say('b knows its own start');
  await a.say('and a its own');
  await setup.publishers[0].publishEvents(held.slice(0, 1));
  await following.has(6);
  expect(following.events).toEqual(await job.record());
  await following.stop();
});

test('text of a worker that knows less than the follower is not lost', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await job.start(['a', 'b'], setup.publishers[0]);
  const a = await job.send('a', setup.publishers[0]);
  const b = await job.send('b', setup.publishers[1]);
  await b.complete();
  await following.has(6);
  await a.say('a believes that nothing has happened since it began');
  await following.has(7);
  expect(following.events).toEqual(await job.record());
  await following.stop();
});

test('once a follower has passed an event, no text can appear before it, even if nobody announced the event', async () => {
  const job = await acceptScriptedJob(setup.database);
  const silent = { ...setup.publishers[1], publishEvents: async () => undefined };
  await job.start(['a', 'b'], silent);
  const a = await job.send('a', setup.publishers[0]);
  await a.say('before b');
  await (await job.send('b', silent)).complete();
  const following = follow(job.id);
  await following.has(7);
  await a.say('after b, which the writer does not know');
  await following.has(8);
  expect(following.events).toEqual(await job.record());
  await following.stop();
});

test('an event that was never announced is found all the same', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await following.has(1);
  const silent = { ...setup.publishers[0], publishEvents: async () => undefined };
  await job.start(['a'], setup.publishers[0]);
  await job.finish(silent);
  await withTimeout(following.done, 10_000, 'the end of the job');
  expect(following.events).toEqual(await job.record());
});

test('an event that was never announced is found while other steps go on talking', async () => {
  const job = await acceptScriptedJob(setup.database);
  const silent = { ...setup.publishers[0], publishEvents: async () => undefined };
  const following = follow(job.id);
  await job.start(['a', 'b'], setup.publishers[0]);
  const a = await job.send('a', setup.publishers[1]);
  await (await job.send('b', silent)).complete();
  const isFound = (): boolean => following.events.some((each) => each.position.sequence === 5);
  await waitFor(async () => (await a.say('and ')) && isFound(), { what: 'the event', timeoutMs: 8_000 });
  await following.has((await job.record()).length);
  expect(following.events).toEqual(await job.record());
  await following.stop();
});

test('text that was announced reaches a slow follower even if Redis has lost it meanwhile', async () => {
  const job = await acceptScriptedJob(setup.database);
  const silent = { ...setup.publishers[0], publishEvents: async () => undefined };
  const leaving = new AbortController();
  const slow = setup.follow(job.id, leaving.signal);
  const followed: FollowedEvent[] = [(await slow.next()).value!];
  const witness = follow(job.id);
  await job.start(['a'], silent);
  const attempt = await job.send('a', silent);
  for (const text of ['one', 'two', 'three']) await attempt.say(text);
  await witness.has(6);
  await witness.stop();
  await setup.publishers[0].eraseDeltas(job.id);
  while (followed.length < 6) {
    followed.push((await withTimeout(slow.next(), 2_000, 'the next piece')).value!);
  }
  expect(followed).toEqual(await job.record());
  leaving.abort();
  await slow.return();
});

test('when the text has expired the events are still there', async () => {
  const job = await acceptScriptedJob(setup.database);
  const options = { random: seededRandom(5), stepsEach: 2, deltasEach: 5, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  await setup.publishers[0].eraseDeltas(job.id);
  const followed = await follow(job.id).done;
  expect(followed).toEqual((await job.record()).filter((each) => each.kind === 'event'));
});

test('the text of a job lives for an hour after its end, however often it is read', async () => {
  const job = await acceptScriptedJob(setup.database);
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  await attempt.say('hello');
  const [stream] = await setup.redis.keys(`${testRedis.prefix}:live:*${job.id}*`);
  expect(await setup.redis.pttl(stream!)).toBeGreaterThan(23 * 3_600_000);
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  expect(await setup.redis.pttl(stream!)).toBeLessThanOrEqual(3_600_000);
  await setup.redis.pexpire(stream!, 60_000);
  await follow(job.id).done;
  for (let tries = 0; tries < 100; tries += 1) await attempt.say('a worker that has not heard of the end');
  expect(await setup.redis.pttl(stream!)).toBeLessThanOrEqual(60_000);
});

test('a slow follower holds few messages and gets everything when it goes on', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = setup.follow(job.id, new AbortController().signal);
  const followed: FollowedEvent[] = [(await following.next()).value!];
  const options = { random: seededRandom(6), stepsEach: 1, deltasEach: 600, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  for await (const each of following) followed.push(each);
  expect(followed.length).toBeGreaterThan(1_200);
  expect(followed).toEqual(await job.record());
});

test('positions only grow, also when Redis has lost the stream between two pieces of text', async () => {
  const job = await acceptScriptedJob(setup.database);
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  const positions = [];
  for (let index = 0; index < 5; index += 1) {
    positions.push(await attempt.say('x'), await attempt.say('y'));
    await setup.publishers[0].eraseDeltas(job.id);
  }
  expect([...positions].sort(comparePositions)).toEqual(positions);
  expect(new Set(positions.map((each) => JSON.stringify(each))).size).toBe(10);
});

test('events wait a moment for text that cannot be read just now, and only a moment', async () => {
  const job = await acceptScriptedJob(setup.database);
  const options = { random: seededRandom(8), stepsEach: 1, deltasEach: 3, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  let failures = 0;
  const failing: LiveFeed = {
    ...setup.feed,
    async readDeltas(...request) {
      failures += 1;
      if (failures <= 3) throw new Error('Redis is away');
      return setup.feed.readDeltas(...request);
    },
  };
  const request = { database: setup.database, feed: failing, tenantId, jobId: job.id };
  const after = { sequence: 0, delta: 0 };
  const patient = collect((signal) => followJob({ ...request, after, signal }));
  expect(await withTimeout(patient.done, 5_000, 'the end of the job')).toEqual(await job.record());
  const away: LiveFeed = { ...setup.feed, seal: async () => Promise.reject(new Error('Redis is away')) };
  const without = collect((signal) => followJob({ ...request, feed: away, after, signal, patienceMs: 300 }));
  const events = (await job.record()).filter(({ kind }) => kind === 'event');
  expect(await withTimeout(without.done, 5_000, 'the end of the job')).toEqual(events);
});

test('a writer that begins a lost stream too early is overtaken only until a follower notices', async () => {
  const publisher = createLivePublisher({
    redis: setup.redis,
    names: keyNames(testRedis.prefix),
    onError: () => undefined,
  });
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await job.start(['a', 'b'], publisher);
  const a = await job.send('a', publisher);
  await (await job.send('b', publisher)).complete();
  await following.has(6);
  const before = following.events.length;
  await publisher.eraseDeltas(job.id);
  for (let index = 0; index < 200 && following.events.length === before; index += 1) await a.say(`${index}`);
  expect(following.events.length).toBeGreaterThan(before);
  await following.stop();
});

test('a ledger that loses its connections holds a follower up and no more', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  await attempt.say('before');
  await following.has(4);
  await setup.database
    .query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()')
    .catch(() => undefined);
  await setup.publishers[0].eraseDeltas(job.id);
  await attempt.say('after');
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  const followed = await withTimeout(following.done, 15_000, 'the end of the job');
  expect(followed).toEqual(await job.record());
});

test('nobody gets anything of another tenant’s job, of no job, or after the end', async () => {
  const job = await acceptScriptedJob(setup.database);
  await job.start([], setup.publishers[0]);
  await job.finish(setup.publishers[0]);
  const last = (await job.record()).at(-1)!.position;
  expect(await follow(job.id, last).done).toEqual([]);
  expect(await follow('job_unknown').done).toEqual([]);
});

test('a follower who leaves leaves nothing behind', async () => {
  const job = await acceptScriptedJob(setup.database);
  const [first, second] = [follow(job.id), follow(job.id)];
  await Promise.all([first.has(1), second.has(1)]);
  expect(await countSubscribers(job.id)).toBe(1);
  await first.stop();
  expect(await countSubscribers(job.id)).toBe(1);
  await second.stop();
  await waitFor(async () => (await countSubscribers(job.id)) === 0, { what: 'the channel to be given up' });
});

function follow(jobId: string, after?: EventPosition): Collection<FollowedEvent> {
  return collect((signal) => setup.follow(jobId, signal, after));
}

async function countSubscribers(jobId: string): Promise<number> {
  const channel = `${testRedis.prefix}:events:${jobId}`;
  const [, count] = (await setup.redis.call('PUBSUB', 'NUMSUB', channel)) as [string, number];
  return count;
}

async function killClients(name: string): Promise<number> {
  const list = (await setup.redis.call('CLIENT', 'LIST')) as string;
  const ids = list
    .split('\n')
    .filter((line) => line.includes(` name=${name} `))
    .map((line) => /^id=(\d+)/.exec(line)![1]!);
  for (const id of ids) await setup.redis.call('CLIENT', 'KILL', 'ID', id);
  return ids.length;
}
