import { createFleet } from '@millrace/capacity';
import type { JobObject, ScalingPlan } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';
import type { Scaling } from './scaling.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi({ MILLRACE_WORKER_CONCURRENCY: '2' });
  key = await api.createKey('acme', 'jobs', 'admin');
});
afterAll(() => api.stop());

const CAME_AT = Date.now() - 5_000;
const none = { waiting: 0, oldestAgeMs: 0, waitMs: 0, arrivals: [] };
/** A fleet that is behind: a hundred calls of standard work wait, and ten are ended a second. */
const plan: ScalingPlan = {
  workers: [{ id: 'a', capacity: 2, pools: ['openai', 'anthropic'] }],
  wantedProcesses: 3,
  pools: {
    openai: {
      wanted: 5,
      granted: 2,
      feedable: null,
      bottleneck: 'backlog',
      running: 2,
      holdMs: 2_000,
      ratePerSecond: 10,
      limits: [{ dimension: 'requests', limit: 600, used: 550, outside: 40 }],
      limitShare: 0.5,
      classes: {
        realtime: none,
        standard: {
          waiting: 100,
          oldestAgeMs: 5_000,
          waitMs: 10_000,
          arrivals: [CAME_AT, CAME_AT + 4_000],
        },
        background: { ...none, waitMs: 10_000 },
      },
    },
  },
};
const publish = async (one: ScalingPlan): Promise<void> => {
  const redis = connectRedis({ url: api.redisUrl, role: 'worker', name: 'test', onError: () => undefined });
  await createFleet({ redis, names: keyNames(api.prefix) }).publish(one);
  await closeRedis(redis);
};

test('scaling says what is wanted and why as soon as a scheduler plans, and null before', async () => {
  const before = await api.send<Scaling>(key, 'GET', '/internal/scaling');
  expect(before.body).toMatchObject({
    wanted_processes: null,
    actual_processes: null,
    pools: {
      openai: {
        wanted_concurrency: null,
        bottleneck: null,
        limits: null,
        limit_share: null,
        wait_seconds: null,
      },
    },
  });
  await publish(plan);
  let scaling = before.body;
  await waitFor(
    async () => {
      scaling = (await api.send<Scaling>(key, 'GET', '/internal/scaling')).body;
      return scaling.wanted_processes !== null;
    },
    { what: 'the plan to be seen' },
  );
  expect(scaling).toMatchObject({ wanted_processes: 3, actual_processes: 1, wanted_concurrency: 5 });
  expect(scaling.pools['openai']).toMatchObject({
    wanted_concurrency: 5,
    granted_concurrency: 2,
    feedable_concurrency: null,
    bottleneck: 'backlog',
    calls_per_second: 10,
    call_seconds: 2,
    limits: [{ dimension: 'requests', limit: 600, used: 550, outside: 40 }],
    limit_share: 0.5,
    wait_seconds: { realtime: 0, standard: 10, background: 10 },
  });
});

test('every job that has not ended says what is before it and when it may be done', async () => {
  await publish(plan);
  const { body: job } = await api.submit(key, callBody);
  // A new one comes last: a hundred calls at ten a second, and two seconds for its own.
  expect(job.progress).toMatchObject({ queue_position: 100, eta_seconds: 12 });
  await api.database.query(`UPDATE jobs SET status = 'in_progress' WHERE id = $1`, [job.id]);
  await api.database.query(
    `INSERT INTO steps (job_id, key, priority, target, pool, status, wake_at, created_at)
     VALUES ($1, 'call', 'standard', 'openai/m', 'openai', 'pending', now(), to_timestamp($2))`,
    [job.id, (CAME_AT + 1_000) / 1_000],
  );
  const seen = await api.send(key, 'GET', `/v1/jobs/${job.id}`);
  // A quarter of the hundred came before it.
  expect(seen.body.progress).toMatchObject({ queue_position: 25, eta_seconds: 5 });
  const listed = await api.send<{ data: JobObject[] }>(key, 'GET', '/v1/jobs?limit=1');
  expect(listed.body.data[0]?.progress).toMatchObject({ queue_position: 25 });
  const { body: ended } = await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  expect(ended.progress).toMatchObject({ queue_position: null, eta_seconds: null });
});

test('work whose class is behind its bound is told when to come back, urgent work is let in', async () => {
  const behind = structuredClone(plan);
  const two = 2 * 3_600_000;
  Object.assign(behind.pools['openai']!.classes.standard, { waitMs: two + 90_000 });
  await publish(behind);
  const submit = (priority: string) => api.submit(key, { ...callBody, priority });
  await waitFor(async () => (await submit('background')).status === 429, { what: 'the plan to be seen' });
  for (const priority of ['standard', 'background']) {
    const refused = await submit(priority);
    expect([refused.status, refused.body.code]).toEqual([429, 'queue_full']);
    expect(refused.headers.get('retry-after')).toBe('90');
  }
  const urgent = await submit('realtime');
  expect(urgent.status).toBe(202);
  // A job that was accepted before is answered, whatever waits.
  const again = { 'idempotency-key': 'before the rush' };
  await publish(plan);
  await waitFor(async () => (await api.submit(key, callBody, again)).status === 202, { what: 'room' });
  await publish(behind);
  await waitFor(async () => (await submit('background')).status === 429, { what: 'the plan to be seen' });
  expect((await api.submit(key, callBody, again)).status).toBe(202);
});
