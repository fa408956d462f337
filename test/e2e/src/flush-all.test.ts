import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { completedCalls } from './completed-calls.ts';
import { createHttpClient } from './http-client.ts';
import { mixedJob } from './mixed-jobs.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const JOBS = 500;

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 2,
    environment: {
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 200, latencyJitterMs: 600 }),
      MILLRACE_WORKER_CONCURRENCY: '32',
    },
  });
});
afterAll(() => stack.end());

it('finishes 500 running jobs although Redis loses everything, and sends no recorded step again', async () => {
  const client = createHttpClient(stack);
  const jobs = await Promise.all(
    Array.from({ length: JOBS }, (_, index) => client.submit(`flush-${index}`, mixedJob(index))),
  );
  await waitFor(() => completedCalls(stack.simulatorJournalPath!).size > 200, {
    timeoutMs: 30_000,
    intervalMs: 100,
    what: 'the work to be well under way',
  });

  const redis = new Redis(stack.redisUrl);
  await redis.flushall();
  await redis.quit();

  const ended = await client.allEnded(
    jobs.map((job) => job.id),
    90_000,
  );
  expect(
    ended.filter((job) => job.status !== 'completed').map((job) => [job.id, job.status, job.error]),
  ).toEqual([]);
  const twice = [...completedCalls(stack.simulatorJournalPath!)].filter(([, count]) => count > 1);
  expect(twice).toEqual([]);
  expect(ended.reduce((sum, job) => sum + job.usage.ambiguous_calls, 0)).toBe(0);
}, 150_000);
