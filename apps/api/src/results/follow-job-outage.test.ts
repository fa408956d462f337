import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { comparePositions } from '@millrace/contracts';
import { startRedisServer } from '@millrace/infra';
import type { RedisServer } from '@millrace/infra';
import { withTimeout } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FollowedEvent } from './follow-job.ts';
import { collect } from './testing/collect.ts';
import type { Collection } from './testing/collect.ts';
import { setUpResults } from './testing/results-setup.ts';
import type { ResultsSetup } from './testing/results-setup.ts';
import { acceptScriptedJob, runRandomly, seededRandom } from './testing/scripted-job.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-outage-'));
let server: RedisServer;
let setup: ResultsSetup;

beforeAll(async () => {
  server = await startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true });
  setup = await setUpResults({ redisUrl: server.url, prefix: 'outage' });
});

afterAll(async () => {
  await setup.stop();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

test('a follower who is there gets everything, once and in order, whatever FLUSHALL takes away', async () => {
  const job = await acceptScriptedJob(setup.database);
  const followers = [follow(job.id), follow(job.id), follow(job.id)];
  let flushes = 0;
  const flushing = (async () => {
    for (;;) {
      const isOver = await Promise.race([
        followers[0]!.done.then(() => true),
        followers[0]!.has((flushes + 1) * 60).then(() => false),
      ]);
      if (isOver) return;
      await setup.redis.flushall();
      flushes += 1;
    }
  })();
  const options = { random: seededRandom(7), stepsEach: 4, deltasEach: 40, pauseMs: 4 };
  await runRandomly(job, setup.publishers, options);
  await withTimeout(flushing, 15_000, 'the end of the job');
  expect(flushes).toBeGreaterThanOrEqual(3);

  for (const { done } of followers) expect(await done).toEqual(await job.record());
});

test('while Redis is away a follower gets every event, and text again when it is back', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await job.start(['a', 'b'], setup.publishers[0]);
  const first = await job.send('a', setup.publishers[0]);
  await first.say('before');
  await following.has(4);

  const port = Number(new URL(server.url).port);
  await server.stop();
  await first.complete();
  const second = await job.send('b', setup.publishers[1]);
  await following.has(7);
  expect(following.events.map(toName).slice(4)).toEqual(['step.completed', 'job.progress', 'step.started']);
  const newcomer = follow(job.id);
  await newcomer.has(6);
  await newcomer.stop();

  server = await startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true, port });
  await sayWhenPossible(second, 'after');
  await following.has(8);
  await second.complete();
  await job.finish(setup.publishers[0]);
  const followed = await withTimeout(following.done, 10_000, 'the end of the job');
  expect(followed).toEqual(await job.record());
});

test('a job that ends while Redis is away ends for its followers too', async () => {
  const job = await acceptScriptedJob(setup.database);
  const following = follow(job.id);
  await following.has(1);
  const port = Number(new URL(server.url).port);
  await server.stop();
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  const followed = await withTimeout(following.done, 10_000, 'the end of the job');
  const latecomer = follow(job.id);
  expect(await withTimeout(latecomer.done, 10_000, 'the end for a latecomer')).toEqual(followed);
  expect(followed).toEqual(await job.record());
  expect([...followed].sort((a, b) => comparePositions(a.position, b.position))).toEqual(followed);
  server = await startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true, port });
});

function follow(jobId: string): Collection<FollowedEvent> {
  return collect((signal) => setup.follow(jobId, signal));
}

function toName(followed: FollowedEvent): string {
  return followed.kind === 'event' ? followed.event.type : 'step.delta';
}

async function sayWhenPossible(
  attempt: { say(text: string): Promise<unknown> },
  text: string,
): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await attempt.say(text);
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
