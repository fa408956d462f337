import { keyNames } from '@millrace/redis';
import { createTestRedis, waitFor, withTimeout } from '@millrace/test-support';
import type { TestRedis } from '@millrace/test-support';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measureQueues } from './measure-queues.ts';
import { jobWake, openTransport } from './testing/open-transport.ts';
import type { TestTransport } from './testing/open-transport.ts';

let server: TestRedis;
let transport: TestTransport;
beforeEach(async () => {
  server = createTestRedis();
  transport = openTransport(server.url, server.prefix);
  await waitFor(() => transport.redis.status === 'ready', { what: 'redis' });
});
afterEach(async () => {
  await transport.close();
  await server.flush();
});

const counts = async () => {
  const readings = await measureQueues(transport.producer);
  return Object.fromEntries(
    readings.filter((each) => each.count > 0).map((each) => [`${each.queue} ${each.state}`, each.count]),
  );
};
/** Consumes until `count` wakes have been handled; answers them in order. */
async function handled(count: number, concurrency = 1): Promise<string[]> {
  const taken: string[] = [];
  const done = Promise.withResolvers<undefined>();
  await transport.consume((jobId) => {
    taken.push(jobId);
    if (taken.length === count) done.resolve(undefined);
  }, concurrency);
  await withTimeout(done.promise, 10_000, `${count} wakes`).catch((error: unknown) => {
    throw new Error(`took ${taken.join(', ')}`, { cause: error });
  });
  return taken;
}

describe('a pause of a queue', () => {
  it('is not cut short by a shorter one, and a longer one replaces it', async () => {
    const key = `${keyNames(server.prefix).queues}:jobs:limiter`;
    const consumer = await transport.consume(() => undefined);
    const leftMs = () => transport.redis.pttl(key);
    consumer.pauseFor(30_000);
    await waitFor(async () => (await leftMs()) > 20_000, { what: 'the pause' });
    consumer.pauseFor(50);
    consumer.pauseFor(60_000);
    await waitFor(async () => (await leftMs()) > 50_000, { what: 'the longer pause' });
    consumer.pauseFor(50);
    // Commands of a connection keep their order: both pauses are through when this wake is there.
    const other = await transport.consume(() => undefined);
    other.pauseFor(61_000);
    await waitFor(async () => (await leftMs()) > 60_000, { what: 'the last pause' });
    consumer.pauseFor(100);
    await expect(
      waitFor(async () => (await leftMs()) < 10_000, { what: 'a short pause', timeoutMs: 500 }),
    ).rejects.toThrow();
    await transport.producer.enqueueJobs([jobWake('a')]);
    expect(await counts()).toMatchObject({ 'jobs prioritized': 1 });
  });
});

describe('wakes', () => {
  it('of one job collapse, in one call and in several', async () => {
    await transport.producer.enqueueJobs([jobWake('a'), jobWake('a'), jobWake('b')]);
    await transport.producer.enqueueJobs([jobWake('a'), jobWake('a')]);
    expect(await counts()).toEqual({ 'jobs prioritized': 2 });
  });

  it('that are on the queue are not written again, so that a backlog may be woken often', async () => {
    const wakes = ['a', 'b'].map((jobId) => ({ ...jobWake(jobId), tenantId: 'tenant' }));
    await transport.producer.enqueueJobs(wakes);
    const queue = transport.producer.queues.find(({ name }) => name === 'jobs')!;
    const written = await transport.redis.get(queue.toKey('id'));
    await transport.producer.enqueueJobs(wakes);
    expect(await transport.redis.get(queue.toKey('id'))).toBe(written);
    expect(await counts()).toEqual({ 'jobs prioritized': 2 });
    await transport.producer.enqueueJobs([...wakes, { ...jobWake('c'), tenantId: 'tenant' }]);
    expect((await handled(3)).toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('of steps collapse by key and fence, and go to the queue of their pool', async () => {
    const wake = {
      jobId: 'j',
      key: 'map[3].a:b',
      pool: 'openai',
      fence: 1,
      priority: 'standard',
      delayMs: 0,
      charge: null,
    } as const;
    await transport.producer.enqueueSteps([wake, wake, { ...wake, fence: 2 }, { ...wake, key: '1' }]);
    // A pool that nobody has told the producer of.
    await transport.producer.enqueueSteps([
      { ...wake, pool: 'new' },
      { ...wake, jobId: '1', key: '1' },
    ]);
    expect(await counts()).toEqual({ 'calls-openai prioritized': 4, 'calls-new prioritized': 1 });
  });

  it('that have ended, well or badly, never stand in the way of the next one', async () => {
    const taken: string[] = [];
    await transport.consume((jobId) => {
      taken.push(jobId);
      if (taken.length === 2) throw new Error('no');
    });
    for (const count of [1, 2, 3, 4]) {
      await transport.producer.enqueueJobs([jobWake('a')]);
      await waitFor(async () => taken.length === count && Object.keys(await counts()).length === 0, {
        what: `wake ${count} to be over`,
      });
    }
    expect(taken).toEqual(['a', 'a', 'a', 'a']);
  });

  it('go in the order of their classes, and within a class in the order in which they came', async () => {
    await transport.producer.enqueueJobs([
      jobWake('background', { priority: 'background' }),
      jobWake('standard 1'),
      jobWake('realtime 1', { priority: 'realtime' }),
      jobWake('standard 2'),
      jobWake('realtime 2', { priority: 'realtime' }),
    ]);
    expect(await handled(5)).toEqual(['realtime 1', 'realtime 2', 'standard 1', 'standard 2', 'background']);
  });

  it('of new jobs let tenants take turns, and those of jobs that were begun go before them', async () => {
    const large = Array.from({ length: 600 }, (_, index) => jobWake(`large ${index}`, { tenantId: 'large' }));
    await transport.producer.enqueueJobs(large);
    await transport.producer.enqueueJobs([jobWake('small 1', { tenantId: 'small' })]);
    await transport.producer.enqueueJobs([jobWake('small 2', { tenantId: 'small' }), jobWake('begun')]);
    const order = await handled(8);
    expect(order[0]).toBe('begun');
    expect(order.indexOf('small 1')).toBeLessThanOrEqual(3);
    expect(order).toContain('small 2');
    expect(order.filter((each) => each.startsWith('large'))).toEqual(
      large.slice(0, 5).map(({ jobId }) => jobId),
    );
  });

  it('all carry a priority: one without would go before every other', async () => {
    const step = {
      jobId: 'j',
      key: 'k',
      pool: 'openai',
      fence: 0,
      priority: 'realtime',
      delayMs: 60_000,
      charge: null,
    } as const;
    await transport.producer.enqueueJobs([jobWake('a'), jobWake('b', { delayMs: 60_000 })]);
    await transport.producer.enqueueSteps([step, { ...step, fence: 1, delayMs: 0 }]);
    await transport.producer.enqueueDeliveries([{ deliveryId: 'd', fence: 0, delayMs: 0 }]);
    const jobs = (
      await Promise.all(
        transport.producer.queues.map((queue) => queue.getJobs(['prioritized', 'delayed', 'waiting'])),
      )
    ).flat();
    expect(jobs).toHaveLength(5);
    for (const job of jobs) expect(job.opts.priority, job.name).toBeGreaterThan(0);
    expect(await counts()).toMatchObject({ 'jobs delayed': 1, 'calls-openai delayed': 1 });
  });

  it('with a delay come after it, and not a whole second later', async () => {
    let taken: { jobId: string; at: number }[] = [];
    await transport.consume((jobId) => void taken.push({ jobId, at: performance.now() }));
    const rounds: { order: string[]; lateMs: number }[] = [];
    for (let round = 0; round < 5; round += 1) {
      taken = [];
      const startedAt = performance.now();
      await transport.producer.enqueueJobs([
        jobWake('late', { delayMs: 300, priority: 'realtime' }),
        jobWake('now'),
      ]);
      await waitFor(async () => taken.length === 2 && Object.keys(await counts()).length === 0, {
        timeoutMs: 10_000,
        what: 'both to be over',
      });
      const lateAt = taken.find(({ jobId }) => jobId === 'late')!.at;
      rounds.push({ order: taken.map(({ jobId }) => jobId), lateMs: lateAt - startedAt - 300 });
    }
    for (const { lateMs } of rounds) expect(lateMs).toBeGreaterThanOrEqual(-10);
    // In the others this process or Redis may have had no time.
    const [best] = rounds.toSorted((one, other) => one.lateMs - other.lateMs);
    expect(best!.order).toEqual(['now', 'late']);
    expect(best!.lateMs).toBeLessThan(500);
  });

  it('of nothing ask nothing', async () => {
    await transport.producer.enqueueJobs([]);
    await transport.producer.enqueueSteps([]);
    await transport.producer.enqueueDeliveries([]);
    expect(await counts()).toEqual({});
  });
});

describe('a consumer', () => {
  it('drops a payload of another form, says so, and goes on', async () => {
    const [jobs] = transport.producer.queues;
    await jobs!.add('advance', { nonsense: 1 }, { priority: 1 });
    await transport.producer.enqueueJobs([jobWake('a')]);
    expect(await handled(1)).toEqual(['a']);
    await waitFor(() => transport.errors.length > 0, { what: 'the error' });
    expect(transport.errors[0]!.message).toContain('jobId');
  });

  it('that stops takes no more and waits for what it has', async () => {
    const begun = Promise.withResolvers<undefined>();
    const finish = Promise.withResolvers<undefined>();
    const taken: string[] = [];
    await transport.producer.enqueueJobs([jobWake('a'), jobWake('b')]);
    const consumer = await transport.consume(async (jobId) => {
      taken.push(jobId);
      begun.resolve(undefined);
      await finish.promise;
    });
    await begun.promise;
    let stopped = false;
    const stopping = consumer.stop().then(() => (stopped = true));
    await consumer.stop();
    expect(stopped).toBe(false);
    finish.resolve(undefined);
    await stopping;
    expect(taken).toEqual(['a']);
    expect(await counts()).toMatchObject({ 'jobs prioritized': 1 });
  });

  it('may be stopped before it was started', async () => {
    const consumer = await transport.consume(() => undefined);
    await consumer.stop();
    await consumer.stop();
  });

  it('handles as many at a time as it is told, also while it runs', async () => {
    let now = 0;
    let most = 0;
    let release = Promise.withResolvers<undefined>();
    const consumer = await transport.consume(async () => {
      most = Math.max(most, (now += 1));
      await release.promise;
      now -= 1;
    }, 2);
    await transport.producer.enqueueJobs(Array.from({ length: 12 }, (_, index) => jobWake(`j${index}`)));
    await waitFor(() => now === 2, { what: 'two at a time' });
    consumer.setConcurrency(5);
    release.resolve(undefined);
    release = Promise.withResolvers();
    await waitFor(() => now === 5, { what: 'five at a time' });
    expect(most).toBe(5);
    release.resolve(undefined);
  });
});
