import { comparePositions, createId } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import type { RedisRole } from '@millrace/redis';
import { createTestRedis, waitFor, withTimeout } from '@millrace/test-support';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLiveFeed } from './live-feed.ts';
import type { LiveFeed, LiveWatcher } from './live-feed.ts';
import type { LiveMessage } from './live-message.ts';
import { createLivePublisher } from './live-publisher.ts';
import type { LivePublisher } from './live-publisher.ts';

const testRedis = createTestRedis();
const names = keyNames(testRedis.prefix);
const jobId = createId('job');
const start = { sequence: 1, delta: 0 };

let subscriber: Redis;
let redis: Redis;
let feed: LiveFeed;
let publisher: LivePublisher;
let errors: unknown[];

beforeEach(async () => {
  errors = [];
  const onError = (error: unknown): void => void errors.push(error);
  const connect = (role: RedisRole): Redis =>
    connectRedis({ url: testRedis.url, role, name: 'feed-test', onError });
  [subscriber, redis] = [connect('subscriber'), connect('producer')];
  await Promise.all([subscriber, redis].map((each) => new Promise((resolve) => each.once('ready', resolve))));
  feed = createLiveFeed({ subscriber, reader: redis, names, onError });
  publisher = createLivePublisher({ redis, names, onError });
  await feed.start();
});

afterEach(async () => {
  await feed.stop();
  await Promise.all([closeRedis(subscriber), closeRedis(redis)]);
  await testRedis.flush();
});

test('each announcement names the entry before it, so that a watcher can tell whether it missed one', async () => {
  const watcher = createWatcher();
  await feed.watch(jobId, watcher);
  const first = await publisher.appendDelta(jobId, start, delta('a'));
  const second = await publisher.appendDelta(jobId, first, delta('b'));
  await publisher.publishEvents([event(2)]);
  await publisher.publishEvents([event(2)]);
  await waitFor(() => watcher.messages.length === 4, { what: 'four messages' });
  expect(watcher.messages).toMatchObject([
    { position: first, previous: { sequence: 0, delta: 0 }, delta: { text: 'a' } },
    { position: second, previous: first, delta: { text: 'b' } },
    { position: { sequence: 2, delta: 0 }, previous: second, event: { type: 'job.progress' } },
    // Announced again, or sealed by a reader before: nobody can tell what lies between.
    { position: { sequence: 2, delta: 0 }, previous: null },
  ]);
});

test('text that is appended after a seal lies behind it, whatever its writer knows', async () => {
  const first = await publisher.appendDelta(jobId, start, delta('a'));
  await feed.seal(jobId, 7, false);
  const second = await publisher.appendDelta(jobId, first, delta('b'));
  expect(second.sequence).toBe(7);
  expect(await feed.readDeltas(jobId, start, 1)).toMatchObject({
    deltas: [{ position: first }],
    complete: false,
  });
  expect(await feed.readDeltas(jobId, first, 1)).toMatchObject({ deltas: [{ position: second }] });
  expect(await feed.readDeltas(jobId, second, 1)).toEqual({ deltas: [], complete: true });
});

test('a stream without text does not outlive its job, and one with text keeps no more marks than it needs', async () => {
  const key = names.liveStream(jobId);
  for (const sequence of [2, 3, 4]) await feed.seal(jobId, sequence, false);
  expect(await redis.xlen(key)).toBe(1);
  await publisher.publishEvents([{ ...event(5), type: 'job.completed' }]);
  expect(await redis.exists(key)).toBe(0);

  await publisher.appendDelta(jobId, start, delta('a'));
  for (const sequence of [2, 3, 4]) await publisher.publishEvents([event(sequence)]);
  expect((await redis.xrange(key, '-', '+')).map(([id]) => id)).toEqual([
    expect.stringMatching(/^1-/),
    '4-0',
  ]);
  await publisher.publishEvents([{ ...event(5), type: 'job.completed' }]);
  expect(await redis.xlen(key)).toBe(2);
  expect(await redis.pttl(key)).toBeLessThanOrEqual(3_600_000);
});

test('a lost stream goes on behind the last event of the ledger', async () => {
  const asking = createLivePublisher({
    redis,
    names,
    onError: () => undefined,
    findLastSequence: async () => 9,
  });
  const first = await publisher.appendDelta(jobId, start, delta('a'));
  await publisher.eraseDeltas(jobId);
  const second = await asking.appendDelta(jobId, first, delta('b'));
  expect(second.sequence).toBe(9);
  expect(second.delta).toBeGreaterThan(0);
});

test('no position comes back after a loss, not even behind a burst, for a writer that knows nothing of it', async () => {
  const known = { sequence: 2, delta: 0 };
  await publisher.appendDelta(jobId, start, delta('first'));
  await publisher.publishEvents([event(2)]);
  const burst = await Promise.all(
    Array.from({ length: 500 }, (_, index) => publisher.appendDelta(jobId, known, delta(`${index}`))),
  );
  await publisher.eraseDeltas(jobId);
  const next = await publisher.appendDelta(jobId, known, delta('next'));
  expect(burst.filter((position) => comparePositions(position, next) >= 0)).toEqual([]);
  await publisher.eraseDeltas(jobId);
  await feed.seal(jobId, 2, false);
  const last = await publisher.appendDelta(jobId, known, delta('last'));
  expect(comparePositions(last, next)).toBeGreaterThan(0);
});

test('after an outage exactly the channels that are wanted now are subscribed, and their watchers are told', async () => {
  const [left, kept, added] = [createWatcher(), createWatcher(), createWatcher()];
  const leave = await feed.watch('job_left', left);
  await feed.watch('job_kept', kept);
  subscriber.disconnect();
  await waitFor(() => !feed.isConnected() && kept.gaps === 1, { what: 'the break to be noticed' });
  leave();
  await withTimeout(feed.watch('job_added', added), 100, 'watching without Redis');
  for (let index = 0; index < 100; index += 1) (await feed.watch(`job_${index}`, createWatcher()))();
  await subscriber.connect();
  await waitFor(() => kept.gaps === 2 && added.gaps === 1, { what: 'the watchers to be told' });
  expect(feed.isConnected()).toBe(true);
  expect(left.gaps).toBe(1);
  await waitFor(async () => (await channels()).length === 2, {
    what: 'the channel that was left to be given up',
  });
  expect(await channels()).toEqual(['job_added', 'job_kept'].map((id) => names.liveChannel(id)));
});

test('an announcement that cannot be read is reported, and watchers are sent to the record', async () => {
  const watcher = createWatcher();
  await feed.watch(jobId, watcher);
  await redis.publish(names.liveChannel(jobId), '1-0 - {"half":');
  await redis.publish(names.liveChannel(jobId), '1-0 - {"sequence":"one"}');
  await waitFor(() => watcher.gaps === 2, { what: 'two gaps' });
  expect(errors).toHaveLength(2);
  expect(watcher.messages).toEqual([]);
});

test('a cancelled job is told to everybody who listens', async () => {
  const heard: unknown[] = [];
  await feed.onCancel((id, keys) => heard.push([id, keys]));
  await publisher.publishCancel(jobId);
  await publisher.publishCancel(jobId, ['a', 'b']);
  await waitFor(() => heard.length === 2, { what: 'two notices' });
  expect(heard).toEqual([
    [jobId, null],
    [jobId, ['a', 'b']],
  ]);
});

function createWatcher(): LiveWatcher & { messages: LiveMessage[]; gaps: number } {
  const watcher = {
    messages: [] as LiveMessage[],
    gaps: 0,
    onMessage: (message: LiveMessage) => void watcher.messages.push(message),
    onGap: () => void (watcher.gaps += 1),
  };
  return watcher;
}

function delta(text: string) {
  return { step: 'call', attempt: 1, text };
}

function event(sequence: number) {
  return { jobId, sequence, type: 'job.progress' as const, at: 0, data: {} };
}

async function channels(): Promise<string[]> {
  const found = (await redis.call('PUBSUB', 'CHANNELS', `${testRedis.prefix}*`)) as string[];
  return found.sort();
}
