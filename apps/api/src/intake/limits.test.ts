import { updateTenant } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({
    MILLRACE_MAX_OPEN_JOBS: '6',
    MILLRACE_TENANT_MAX_OPEN_JOBS: '3',
    MILLRACE_REQUIRE_IDEMPOTENCY_KEY: 'false',
  });
});
afterAll(() => api.stop());

test('open jobs are limited for each tenant and in all, and a job that ends makes room', async () => {
  const acme = await api.createKey('acme', 'jobs');
  const first = await api.submit(acme, callBody, { 'idempotency-key': 'first' });
  for (let number = 2; number <= 3; number += 1) expect((await api.submit(acme, callBody)).status).toBe(202);
  const refused = await api.submit(acme, callBody);
  expect([refused.status, refused.body.code]).toEqual([429, 'tenant_limit_exceeded']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

  const replay = await api.submit(acme, callBody, { 'idempotency-key': 'first' });
  expect([replay.status, replay.body.id]).toEqual([202, first.body.id]);

  const large = await api.createKey('large', 'jobs');
  await updateTenant(api.database, 'large', { maxOpenJobs: 100 });
  for (let number = 1; number <= 3; number += 1) expect((await api.submit(large, callBody)).status).toBe(202);
  const full = await api.submit(large, callBody);
  expect([full.status, full.body.code]).toEqual([429, 'queue_full']);

  await api.send(acme, 'POST', `/v1/jobs/${first.body.id}/cancel`);
  await waitFor(async () => (await api.submit(large, callBody)).status === 202, { what: 'room for a job' });
});

test('a deployment may do without idempotency keys', async () => {
  const key = await api.createKey('keyless', 'jobs');
  const [a, b] = [
    await api.send(key, 'POST', '/v1/jobs', { body: { ...callBody, deadline: 'x' } }),
    await api.send(key, 'POST', '/v1/jobs', { body: { ...callBody, deadline: 'x' } }),
  ];
  expect([a.body.code, b.body.code]).toEqual(['validation_failed', 'validation_failed']);
});
