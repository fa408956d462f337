import { connectRedis, closeRedis, keyNames } from '@millrace/redis';
import { createProducer } from '@millrace/transport';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

interface Queues {
  queues: { name: string; readOnlyMode: boolean; jobs: { data: unknown }[] }[];
}

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  key = await api.createKey('operators', 'board');
});
afterAll(() => api.stop());

const basic = (password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
});

test('the board asks a browser to log in, and takes an API key as the password', async () => {
  const stranger = await api.send(null, 'GET', '/admin/queues');
  expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([
    401,
    expect.stringMatching(/^Basic realm="Millrace/),
  ]);
  const wrong = await api.send(null, 'GET', '/admin/queues', { headers: basic('mr_nothing') });
  expect(wrong.status).toBe(401);
  const jobsKey = await api.createKey('acme', 'jobs');
  expect((await api.send(null, 'GET', '/admin/queues', { headers: basic(jobsKey) })).status).toBe(403);
  const page = await api.send<string>(null, 'GET', '/admin/queues', { headers: basic(key) });
  expect(page.status).toBe(200);
  expect(page.text).toContain('<title>Millrace</title>');
});

test('no part of the board is served without a login', async () => {
  const page = await api.send<string>(key, 'GET', '/admin/queues');
  const assets = [...page.text.matchAll(/"(static\/[^"]+\.(?:js|css))"/g)].map((match) => match[1]!);
  expect(assets.length).toBeGreaterThan(2);
  for (const path of [...assets, 'api/queues', 'api/config']) {
    expect([path, (await api.send(null, 'GET', `/admin/queues/${path}`)).status]).toEqual([path, 401]);
  }
  for (const path of assets) {
    expect([path, (await api.send<string>(key, 'GET', `/admin/queues/${path}`)).status]).toEqual([path, 200]);
  }
});

test('the board may load its own files only', async () => {
  const { headers } = await api.send<string>(key, 'GET', '/admin/queues');
  const policy = String(headers.get('content-security-policy'));
  expect(policy).not.toMatch(/https?:|\*/);
  expect(policy).toContain("font-src 'self' data:");
  expect(headers.get('x-powered-by')).toBeNull();
});

test('the board lists every queue, shows ids and never a prompt', async () => {
  const jobsKey = await api.createKey('acme', 'jobs');
  const { body: job } = await api.submit(jobsKey, { ...callBody, prompt: 'the secret of the mill' });
  // What must not be there, in case somebody puts it there.
  const onError = (): void => undefined;
  const redis = connectRedis({ url: api.redisUrl, role: 'worker', name: 'test', onError });
  const producer = createProducer({ redis, names: keyNames(api.prefix), pools: [], onError });
  await producer.queues[0]!.add('x', { jobId: 'job_x', prompt: 'the secret of the mill' });
  await producer.close();
  await closeRedis(redis);

  const shown = await api.send<Queues>(
    key,
    'GET',
    '/admin/queues/api/queues?activeQueue=jobs&status=latest&page=1',
  );
  expect(shown.body.queues.map((queue) => queue.name)).toEqual(
    expect.arrayContaining(['jobs', 'webhooks', 'calls-openai', 'calls-anthropic']),
  );
  expect(shown.text).toContain(job.id);
  expect(shown.text).not.toContain('the secret of the mill');
});

test('a read-only board changes nothing', async () => {
  const shown = await api.send<Queues>(key, 'GET', '/admin/queues/api/queues?activeQueue=jobs&page=1');
  expect(shown.body.queues.every((queue) => queue.readOnlyMode)).toBe(true);
  const paused = await api.send(key, 'PUT', '/admin/queues/api/queues/jobs/pause');
  expect(paused.status).toBe(405);
});
