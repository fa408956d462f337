import { cancelJob } from '@millrace/ledger';
import { createTestRedis, withTimeout } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLongPoll } from './long-poll.ts';
import type { LongPoll } from './long-poll.ts';
import { otherTenantId, setUpResults, tenantId } from './testing/results-setup.ts';
import type { ResultsSetup } from './testing/results-setup.ts';
import { acceptScriptedJob } from './testing/scripted-job.ts';

const testRedis = createTestRedis();
let setup: ResultsSetup;
let longPoll: LongPoll;
const never = new AbortController().signal;

beforeAll(async () => {
  setup = await setUpResults({ redisUrl: testRedis.url, prefix: testRedis.prefix });
  longPoll = createLongPoll({ database: setup.database, feed: setup.feed, metrics: setup.metrics });
});

afterAll(async () => {
  expect(await countWaiters()).toBe(0);
  await setup.stop();
  await testRedis.flush();
});

test('a waiter gets the job as soon as its end is announced', async () => {
  const job = await acceptScriptedJob(setup.database);
  const waiting = longPoll.waitForEnd(tenantId, job.id, 30_000, never);
  await job.start(['a'], setup.publishers[0]);
  await (await job.send('a', setup.publishers[0])).complete();
  await job.finish(setup.publishers[0]);
  // Less than the time after which a waiter looks for itself.
  const ended = await withTimeout(waiting, 2_000, 'the end');
  expect(ended).toMatchObject({ id: job.id, status: 'completed', output: 'done' });
});

test('a job that has ended already is answered at once', async () => {
  const job = await acceptScriptedJob(setup.database);
  await job.finish(setup.publishers[0]);
  const ended = await withTimeout(longPoll.waitForEnd(tenantId, job.id, 30_000, never), 1_000, 'the answer');
  expect(ended).toMatchObject({ status: 'completed' });
});

test('at the timeout the job is answered as it is then', async () => {
  const job = await acceptScriptedJob(setup.database);
  const waiting = longPoll.waitForEnd(tenantId, job.id, 300, never);
  await job.start(['a'], setup.publishers[0]);
  expect(await waiting).toMatchObject({ status: 'in_progress' });
});

test('unknown and foreign jobs are null at once', async () => {
  const job = await acceptScriptedJob(setup.database);
  const answers = Promise.all([
    longPoll.waitForEnd(otherTenantId, job.id, 30_000, never),
    longPoll.waitForEnd(tenantId, 'job_unknown', 30_000, never),
  ]);
  expect(await withTimeout(answers, 1_000, 'the answers')).toEqual([null, null]);
});

test('an end that was never announced is found all the same', async () => {
  const job = await acceptScriptedJob(setup.database);
  const waiting = longPoll.waitForEnd(tenantId, job.id, 30_000, never);
  await cancelJob(setup.database, tenantId, job.id);
  expect(await withTimeout(waiting, 8_000, 'the end')).toMatchObject({ status: 'cancelled' });
});

test('without Redis a waiter looks every second', async () => {
  const job = await acceptScriptedJob(setup.database);
  const waiting = longPoll.waitForEnd(tenantId, job.id, 30_000, never);
  setup.subscriber.disconnect();
  await new Promise((resolve) => setup.subscriber.once('end', resolve));
  try {
    const late = longPoll.waitForEnd(tenantId, job.id, 30_000, never);
    await cancelJob(setup.database, tenantId, job.id);
    const both = await withTimeout(Promise.all([waiting, late]), 3_000, 'the end');
    expect(both).toMatchObject([{ status: 'cancelled' }, { status: 'cancelled' }]);
  } finally {
    await setup.subscriber.connect();
  }
});

test('a client who leaves ends the waiting', async () => {
  const job = await acceptScriptedJob(setup.database);
  const leaving = new AbortController();
  const waiting = longPoll.waitForEnd(tenantId, job.id, 30_000, leaving.signal);
  leaving.abort();
  expect(await withTimeout(waiting, 1_000, 'the waiting to end')).toMatchObject({ status: 'queued' });
});

test('two thousand waiters of twenty jobs share their looks into the ledger', async () => {
  const jobs = await Promise.all(Array.from({ length: 20 }, () => acceptScriptedJob(setup.database)));
  let reads = 0;
  const counting = {
    ...setup.database,
    query: <Row>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
      reads += 1;
      return setup.database.query<Row>(text, values);
    },
  };
  const counted = createLongPoll({ database: counting, feed: setup.feed });
  const waiting = jobs.flatMap((job) =>
    Array.from({ length: 100 }, () => counted.waitForEnd(tenantId, job.id, 30_000, never)),
  );
  for (const job of jobs) await job.finish(setup.publishers[0]);
  const ended = await withTimeout(Promise.all(waiting), 10_000, 'all of them');
  expect(ended.map((job) => job?.status)).toEqual(Array(2_000).fill('completed'));
  expect(reads).toBeLessThan(1_000);
});

async function countWaiters(): Promise<number> {
  const { values } = await setup.metrics.watchers.get();
  return values.find(({ labels }) => labels.kind === 'long_poll')?.value ?? 0;
}
