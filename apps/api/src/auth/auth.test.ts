import { parseApiKey } from '@millrace/contracts';
import { createApiKey, revokeApiKey, updateTenant } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

const bootstrapKey = `mr_bootstrap001_${'x'.repeat(40)}`;

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ MILLRACE_BOOTSTRAP_KEY: bootstrapKey });
});
afterAll(() => api.stop());

test('a request needs a key that is known, whole and well formed', async () => {
  const key = await api.createKey('acme', 'jobs');
  for (const bad of [
    null,
    'mr_',
    'x',
    key.slice(0, -1),
    `${key.slice(0, -1)}#`,
    `mr_abcdefghijkl_${'a'.repeat(40)}`,
  ]) {
    const answer = await api.send(bad, 'GET', '/v1/jobs');
    expect([bad, answer.status, answer.body.code]).toEqual([bad, 401, 'unauthenticated']);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
  }
});

test('a key is taken as Bearer and as x-api-key', async () => {
  const key = await api.createKey('acme', 'jobs');
  expect((await api.send(key, 'GET', '/v1/jobs')).status).toBe(200);
  expect((await api.send(null, 'GET', '/v1/jobs', { headers: { 'x-api-key': key } })).status).toBe(200);
});

test('the secret of another key does not open a key', async () => {
  const [one, two] = [await api.createKey('acme', 'jobs'), await api.createKey('acme', 'jobs')];
  const mixed = `mr_${parseApiKey(one)?.keyId}_${parseApiKey(two)?.secret}`;
  expect((await api.send(mixed, 'GET', '/v1/jobs')).status).toBe(401);
});

test('each scope opens its own routes only', async () => {
  const [jobs, admin, board] = [
    await api.createKey('acme', 'jobs'),
    await api.createKey('acme', 'admin'),
    await api.createKey('acme', 'board'),
  ];
  const statuses = async (path: string): Promise<number[]> =>
    Promise.all([jobs, admin, board].map(async (key) => (await api.send(key, 'GET', path)).status));
  expect(await statuses('/v1/jobs')).toEqual([200, 403, 403]);
  expect(await statuses('/internal/scaling')).toEqual([403, 200, 403]);
  expect(await statuses('/admin/queues')).toEqual([403, 403, 200]);
  const refused = await api.send(admin, 'POST', '/v1/jobs', { body: callBody });
  expect(refused.body.code).toBe('insufficient_scope');
});

test('a revoked key stops working within two seconds', async () => {
  const key = await api.createKey('acme', 'jobs');
  expect((await api.send(key, 'GET', '/v1/jobs')).status).toBe(200);
  await revokeApiKey(api.database, String(parseApiKey(key)?.keyId));
  await waitFor(async () => (await api.send(key, 'GET', '/v1/jobs')).status === 401, {
    timeoutMs: 2_000,
    what: 'the key to stop working',
  });
});

test('a key that is made after it was tried works within two seconds', async () => {
  const text = `mr_laterlater00_${'y'.repeat(40)}`;
  expect((await api.send(text, 'GET', '/v1/jobs')).status).toBe(401);

  await createApiKey(api.database, { tenantId: 'acme', name: '', scopes: ['jobs'], text });
  await waitFor(async () => (await api.send(text, 'GET', '/v1/jobs')).status === 200, {
    timeoutMs: 2_000,
    what: 'the key to work',
  });
});

test('the bootstrap key is registered with all scopes', async () => {
  await waitFor(async () => (await api.send(bootstrapKey, 'GET', '/v1/jobs')).status === 200, {
    what: 'the bootstrap key to work',
  });
  expect((await api.send(bootstrapKey, 'GET', '/internal/scaling')).status).toBe(200);
  expect((await api.send(bootstrapKey, 'GET', '/admin/queues')).status).toBe(200);
});

test('the requests of a tenant in a minute are limited, for all its keys together and for nobody else', async () => {
  const [one, two] = [await api.createKey('busy', 'jobs'), await api.createKey('busy', 'jobs')];
  await updateTenant(api.database, 'busy', { requestsPerMinute: 5 });
  const first = await api.send(one, 'GET', '/v1/jobs');
  expect(first.headers.get('ratelimit-policy')).toBe('"requests";q=5;w=60');
  expect(first.headers.get('ratelimit')).toMatch(/^"requests";r=4;t=\d+$/);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, number) => api.send(number % 2 ? one : two, 'GET', '/v1/jobs')),
  );
  expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 200, 429, 429, 429, 429]);
  const refused = answers.find((answer) => answer.status === 429)!;
  expect(refused.body.code).toBe('rate_limited');
  const [, resetS] = /;t=(\d+)$/.exec(String(refused.headers.get('ratelimit')))!;
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(Number(resetS));
  const other = await api.createKey('calm', 'jobs');
  expect((await api.send(other, 'GET', '/v1/jobs')).status).toBe(200);
});
