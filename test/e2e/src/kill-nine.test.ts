import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { completedCalls } from './completed-calls.ts';
import { createHttpClient } from './http-client.ts';
import { mixedJob } from './mixed-jobs.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const JOBS = 200;

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 2,
    environment: {
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 150, latencyJitterMs: 700 }),
      MILLRACE_WORKER_CONCURRENCY: '16',
    },
  });
});
afterAll(() => stack.end());

it('brings 200 mixed jobs to one end each while every process is killed in turn, and pays no step twice', async () => {
  const client = createHttpClient(stack);
  const victims = ['worker-1', 'api', 'scheduler', 'worker-2'];
  let killing = true;
  const kills = (async () => {
    for (let round = 0; killing && round < 8; round += 1) {
      await pause(1_200);
      stack.strike(victims[round % victims.length]!, 'SIGKILL');
    }
  })();

  const jobs = [];
  for (let index = 0; index < JOBS; index += 1)
    jobs.push(await client.submit(`mixed-${index}`, mixedJob(index)));
  await kills;
  const ended = await client.allEnded(
    jobs.map((job) => job.id),
    90_000,
  );
  killing = false;

  expect(new Set(jobs.map((job) => job.id)).size).toBe(JOBS);
  expect(
    ended.filter((job) => job.status !== 'completed').map((job) => [job.id, job.status, job.error]),
  ).toEqual([]);

  const twice = [...completedCalls(stack.simulatorJournalPath!)].filter(([, count]) => count > 1);
  for (const [step] of twice) {
    const [jobId, ...key] = step.split('/');
    const found = (await client.steps(jobId!)).find((each) => each.key === key.join('/'));
    expect({ step, ambiguous: found?.ambiguous }).toEqual({ step, ambiguous: true });
  }
  console.log(`${twice.length} steps were completed twice by the provider, all marked ambiguous`);

  // The same keys stand for the same jobs still.
  const again = await client.submit('mixed-7', mixedJob(7));
  expect(again.id).toBe(jobs[7]!.id);
}, 150_000);
