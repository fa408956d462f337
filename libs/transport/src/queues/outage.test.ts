import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startRedisServer } from '@millrace/infra';
import type { RedisServer } from '@millrace/infra';
import { workedMs } from '@millrace/simulator';
import { spawnApp, waitFor, withTimeout } from '@millrace/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { jobWake, openTransport } from './testing/open-transport.ts';
import type { TestTransport } from './testing/open-transport.ts';

/** The outage after which BullMQ 6.2.0 to 6.3.2 never came back. */
const OUTAGE_MS = 20_000;
const LIMIT_MS = 60_000;

const closing: (() => Promise<unknown> | void)[] = [];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

const start = async (
  directory?: string,
  port?: number,
): Promise<{ server: RedisServer; directory: string }> => {
  const dataDirectory = directory ?? mkdtempSync(join(tmpdir(), 'millrace-outage-'));
  if (directory === undefined) closing.push(() => rmSync(dataDirectory, { recursive: true, force: true }));
  const server = await startRedisServer({ dataDirectory, appendOnly: true, ...(port ? { port } : {}) });
  closing.push(() => server.stop());
  return { server, directory: dataDirectory };
};
const open = (url: string): TestTransport => {
  const transport = openTransport(url, 'outage');
  closing.push(() => transport.close());
  return transport;
};
const rejection = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error,
  );
/** The producer gives up in time, so that a request can be answered; in the other two tries this process may have had no time. */
async function expectToGiveUp({ producer }: TestTransport): Promise<void> {
  const took: number[] = [];
  for (let tries = 0; tries < 3; tries += 1) {
    const startedAt = performance.now();
    expect(await rejection(producer.enqueueJobs([jobWake('during')]))).toBeInstanceOf(Error);
    took.push(performance.now() - startedAt);
  }
  expect(Math.min(...took)).toBeLessThan(2_500);
}
/** A queue that is consumed, with one wake that has gone through. */
async function openConsumed(url: string) {
  const transport = open(url);
  const taken: string[] = [];
  await transport.consume((jobId) => {
    taken.push(jobId);
  });
  await waitFor(() => transport.producer.enqueueJobs([jobWake('before')]).then(() => true), {
    what: 'the first wake',
  });
  await waitFor(() => taken.includes('before'), { what: 'the first wake to come' });
  const takes = async (jobId: string, timeoutMs: number) => {
    const askedAt = performance.now();
    await waitFor(() => transport.producer.enqueueJobs([jobWake(jobId)]).then(() => true), {
      timeoutMs,
      what: 'redis to be back',
    });
    await waitFor(() => taken.includes(jobId), { timeoutMs, what: `${jobId} to be taken` });
    return performance.now() - askedAt;
  };
  return { transport, taken, takes };
}

describe.concurrent('when Redis is away', () => {
  it(
    'a consumer goes on by itself after 20 s in which the server stood still',
    { timeout: LIMIT_MS },
    async () => {
      const { server } = await start();
      const { transport, takes } = await openConsumed(server.url);
      process.kill(server.pid, 'SIGSTOP');
      const startedAt = performance.now();
      try {
        await expectToGiveUp(transport);
        await pause(OUTAGE_MS - (performance.now() - startedAt));
      } finally {
        process.kill(server.pid, 'SIGCONT');
      }
      expect(await takes('after', 15_000)).toBeLessThan(10_000);
    },
  );

  it(
    'a consumer goes on by itself after 20 s in which there was no server',
    { timeout: LIMIT_MS },
    async () => {
      const { server, directory } = await start();
      const { transport, taken, takes } = await openConsumed(server.url);
      await transport.producer.enqueueJobs([jobWake('kept', { delayMs: 5_000 })]);
      process.kill(server.pid, 'SIGKILL');
      const startedAt = performance.now();
      await server.died;
      await server.stop();
      await expectToGiveUp(transport);
      await pause(OUTAGE_MS - (performance.now() - startedAt));
      await start(directory, Number(new URL(server.url).port));
      expect(await takes('after', 15_000)).toBeLessThan(10_000);
      await waitFor(() => taken.includes('kept'), {
        timeoutMs: 10_000,
        what: 'the wake that was on the disk',
      });
    },
  );

  it(
    'a producer that was made without a server fails in time, and works once there is one',
    { timeout: LIMIT_MS },
    async () => {
      const { server, directory } = await start();
      const port = Number(new URL(server.url).port);
      await server.stop();
      const transport = open(server.url);
      const enqueue = () => transport.producer.enqueueJobs([jobWake('early')]);
      const error = await withTimeout(rejection(enqueue()), 4_000, 'the producer to give up');
      expect(error).toBeInstanceOf(Error);
      await start(directory, port);
      await waitFor(() => enqueue().then(() => true), { timeoutMs: 15_000, what: 'the producer to work' });
      const taken = Promise.withResolvers<string>();
      await transport.consume((jobId) => taken.resolve(jobId));
      expect(await withTimeout(taken.promise, 10_000, 'the wake')).toBe('early');
    },
  );

  it('a consumer may be stopped', { timeout: LIMIT_MS }, async () => {
    const { server } = await start();
    const transport = open(server.url);
    const consumer = await transport.consume(() => undefined);
    await waitFor(() => transport.redis.status === 'ready', { what: 'redis' });
    process.kill(server.pid, 'SIGKILL');
    await server.died;
    await withTimeout(consumer.stop(), 10_000, 'the consumer to stop');
  });
});

describe.concurrent('when a process dies', () => {
  it(
    'its wake is given to another one within 15 seconds, which hears that it happened',
    { timeout: LIMIT_MS },
    async () => {
      const { server } = await start();
      const transport = open(server.url);
      await waitFor(() => transport.producer.enqueueJobs([jobWake('held by the dead')]).then(() => true), {
        what: 'the wake',
      });
      const doomed = await spawnApp({
        app: 'libs/transport/src/queues/testing/take-and-hang.ts',
        environment: {},
        arguments: [server.url, 'outage'],
      });
      await doomed.waitForLine(/^took held by the dead$/);
      const inherited = Promise.withResolvers<number>();
      await transport.consume((_jobId, { stalls }) => inherited.resolve(stalls));
      const diedAt = performance.now();
      // This process looks for wakes of the dead itself; the time in which it had none does not count.
      const ticks: number[] = [];
      const ticking = setInterval(() => ticks.push(performance.now()), 50);
      await doomed.kill('SIGKILL');
      const stalls = await withTimeout(inherited.promise, 30_000, 'the wake');
      clearInterval(ticking);
      expect(stalls).toBe(1);
      expect(workedMs(ticks, diedAt, performance.now())).toBeLessThan(15_000);
    },
  );
});
