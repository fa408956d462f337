import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';
import type { Readiness } from './readiness.ts';
import type { Scaling } from './scaling.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi({ MILLRACE_WORKER_CONCURRENCY: '2' });
  key = await api.createKey('acme', 'jobs', 'admin');
});
afterAll(() => api.stop());

test('a process with ledger and transport is live and ready', async () => {
  expect((await api.send<unknown>(null, 'GET', '/livez')).body).toEqual({ status: 'ok' });
  const ready = await api.send<Readiness>(null, 'GET', '/readyz');
  expect([ready.status, ready.body.status]).toEqual([200, 'ok']);
});

test('work that nobody moves makes it degraded, and it still takes jobs', async () => {
  const { body: job } = await api.submit(key, callBody);
  await api.database.query(`UPDATE jobs SET wake_at = now() - interval '31 seconds' WHERE id = $1`, [job.id]);
  const ready = await api.send<Readiness>(null, 'GET', '/readyz');
  expect([ready.status, ready.body.status, ready.body.parts.moving.ok]).toEqual([200, 'degraded', false]);
  await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
});

test('the metrics show requests, open jobs, queues and the event loop', async () => {
  const { body: job } = await api.submit(key, callBody);
  const metrics = await api.send<string>(null, 'GET', '/metrics');
  expect(metrics.headers.get('content-type')).toMatch(/^text\/plain/);
  const lines = metrics.text.split('\n');
  const value = (pattern: RegExp): number =>
    Number(
      lines
        .find((line) => pattern.test(line))
        ?.split(' ')
        .at(-1),
    );
  expect(value(/^millrace_jobs_open\{.*status="queued"/)).toBeGreaterThan(0);
  expect(value(/^millrace_jobs_accepted_total\{.*outcome="accepted"/)).toBeGreaterThan(0);
  expect(value(/^millrace_queue_jobs\{queue="jobs",state="prioritized"/)).toBeGreaterThan(0);
  expect(
    value(/^millrace_http_requests_total\{method="POST",route="\/v1\/jobs",status="202"/),
  ).toBeGreaterThan(0);
  expect(value(/^nodejs_eventloop_lag_seconds\{/)).toBeGreaterThanOrEqual(0);
  expect(metrics.text).not.toContain(job.id);
});

test('scaling says how many workers the open calls of each pool could use', async () => {
  const { body: job } = await api.submit(key, callBody);
  for (const number of [1, 2, 3]) {
    await api.database.query(
      `INSERT INTO steps (job_id, key, priority, target, pool, status, wake_at, request)
       VALUES ($1, $2, 'standard', 'openai/m', 'openai', 'pending', now(), '{}')`,
      [job.id, `call[${number}]`],
    );
  }
  const { body } = await api.send<Scaling>(key, 'GET', '/internal/scaling');
  expect(body.pools['openai']).toMatchObject({ desired_workers: 2, actual_workers: 0, waiting_calls: 3 });
  expect(body.desired_workers).toBe(2);
});
