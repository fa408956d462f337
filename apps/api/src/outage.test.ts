import { quickestMs, waitFor, withTimeout } from '@millrace/test-support';
import { afterEach, expect, inject, test } from 'vitest';
import type { Readiness } from './operations/readiness.ts';
import { openGate } from './testing/gate.ts';
import type { Gate } from './testing/gate.ts';
import { callBody, startTestApi } from './testing/start-test-api.ts';
import type { Answer, TestApi } from './testing/start-test-api.ts';

let api: TestApi;
let gate: Gate;
afterEach(async () => {
  await api.stop();
  await gate.stop();
});

async function gateTo(address: string): Promise<{ gate: Gate; url: string }> {
  const url = new URL(address);
  const opened = await openGate({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${opened.port}`;
  return { gate: opened, url: url.href };
}

const isReady = async (): Promise<boolean> =>
  (await api.send<Readiness>(null, 'GET', '/readyz')).body.status === 'ok';

async function timed<Result>(work: Promise<Result>): Promise<{ result: Result; ms: number }> {
  const startedAt = performance.now();
  const result = await work;
  return { result, ms: performance.now() - startedAt };
}

test('without Redis jobs are accepted and /readyz says so; when it is back it is used again', async () => {
  const redis = await gateTo(inject('testRedisUrl'));
  gate = redis.gate;
  await gate.set('closed');
  let key = '';
  let answer: Answer | undefined;
  const tookMs = await quickestMs(1_000, async (number) => {
    // Each time the first job of an API, which is the one that finds out.
    if (number > 1) await api.stop();
    api = await startTestApi({ REDIS_URL: redis.url });
    key = await api.createKey('acme', 'jobs');
    const { result, ms } = await timed(api.submit(key, callBody));
    expect(result.status).toBe(202);
    answer = result;
    return ms;
  });
  expect(tookMs).toBeLessThan(1_000);
  if (!answer) throw new Error('no job was submitted');
  expect(answer.headers.get('ratelimit')).toMatch(/^"requests";r=\d+;t=\d+$/);
  const degraded = await api.send<Readiness>(null, 'GET', '/readyz');
  expect([degraded.status, degraded.body.status, degraded.body.parts.transport.ok]).toEqual([
    200,
    'degraded',
    false,
  ]);
  const metrics = await api.send<string>(null, 'GET', '/metrics');
  expect(metrics.text).toMatch(/millrace_enqueue_failures_total\{queue="jobs",app="api"\} 1/);
  const cancelled = await api.send(key, 'POST', `/v1/jobs/${answer.body.id}/cancel`);
  expect(cancelled.body.status).toBe('cancelled');

  await gate.set('open');
  await waitFor(isReady, { timeoutMs: 10_000, what: 'Redis to be used again' });
}, 60_000);

test('with a Redis that stands still jobs are accepted without delay after the first', async () => {
  const redis = await gateTo(inject('testRedisUrl'));
  gate = redis.gate;
  api = await startTestApi({ REDIS_URL: redis.url });
  const key = await api.createKey('acme', 'jobs');
  await waitFor(async () => (await api.send<Readiness>(null, 'GET', '/readyz')).body.parts.transport.ok, {
    what: 'Redis to be connected',
  });
  expect((await api.submit(key, callBody)).status).toBe(202);
  const slowestMs = await quickestMs(1_000, async (number) => {
    if (number > 1) {
      await gate.set('open');
      await waitFor(isReady, { timeoutMs: 10_000, what: 'Redis to be used again' });
    }
    await gate.set('frozen');
    const tookMs: number[] = [];
    for (let job = 0; job < 5; job += 1) {
      const { result, ms } = await timed(api.submit(key, callBody));
      expect(result.status).toBe(202);
      tookMs.push(ms);
    }
    // The connection looks well; only asking tells.
    const { result: frozen, ms } = await timed(api.send<Readiness>(null, 'GET', '/readyz'));
    expect([frozen.status, frozen.body.status, frozen.body.parts.transport.ok]).toEqual([
      200,
      'degraded',
      false,
    ]);
    return Math.max(...tookMs, ms);
  });
  expect(slowestMs).toBeLessThan(1_000);
}, 60_000);

test.each(['closed', 'frozen'] as const)(
  'with a PostgreSQL that is %s a submission is answered 503 within two seconds, and works when it is back',
  async (state) => {
    const postgres = await gateTo(inject('testDatabaseUrl'));
    gate = postgres.gate;
    api = await startTestApi({}, (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.host = `127.0.0.1:${postgres.gate.port}`;
      return url.href;
    });
    const key = await api.createKey('acme', 'jobs');
    expect((await api.submit(key, callBody)).status).toBe(202);
    const slowestMs = await quickestMs(2_200, async (number) => {
      if (number > 1) {
        await gate.set('open');
        await waitFor(async () => (await api.submit(key, callBody)).status === 202, {
          timeoutMs: 10_000,
          what: 'jobs to be accepted again',
        });
      }
      await gate.set(state);
      const attempts = Array.from({ length: 20 }, (_, job) =>
        timed(api.submit(key, callBody, { 'idempotency-key': `outage ${job}` })),
      );
      const answers = await Promise.all(attempts);
      for (const { result: answer } of answers) {
        expect([answer.status, answer.body.code]).toEqual([503, 'ledger_unavailable']);
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      return Math.max(...answers.map(({ ms }) => ms));
    });
    expect(slowestMs).toBeLessThan(2_200);
    const ready = await api.send<Readiness>(null, 'GET', '/readyz');
    expect([ready.status, ready.body.status]).toEqual([503, 'unavailable']);
    expect((await api.send(null, 'GET', '/livez')).status).toBe(200);
    const [stored] = await api.database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM jobs WHERE idempotency_key LIKE 'outage %'`,
    );
    expect(stored?.count).toBe(0);

    await gate.set('open');
    await waitFor(
      async () => (await api.submit(key, callBody, { 'idempotency-key': 'outage 1' })).status === 202,
      { timeoutMs: 10_000, what: 'jobs to be accepted again' },
    );
  },
  60_000,
);

test('an API that starts without PostgreSQL registers its bootstrap key when it comes', async () => {
  const postgres = await gateTo(inject('testDatabaseUrl'));
  gate = postgres.gate;
  await gate.set('closed');
  const bootstrapKey = `mr_bootstrap001_${'x'.repeat(40)}`;
  api = await startTestApi({ MILLRACE_BOOTSTRAP_KEY: bootstrapKey }, (databaseUrl) => {
    const url = new URL(databaseUrl);
    url.host = `127.0.0.1:${postgres.gate.port}`;
    return url.href;
  });
  expect((await api.submit(bootstrapKey, callBody)).status).toBe(503);
  await gate.set('open');
  await waitFor(async () => (await api.submit(bootstrapKey, callBody)).status === 202, {
    timeoutMs: 10_000,
    what: 'the bootstrap key to work',
  });
});

test('stopping answers what waits, ends streams, refuses more and leaves no connection', async () => {
  const redis = await gateTo(inject('testRedisUrl'));
  gate = redis.gate;
  api = await startTestApi();
  const key = await api.createKey('acme', 'jobs');
  const { body: job } = await api.submit(key, callBody);
  const poll = api.send(key, 'GET', `/v1/jobs/${job.id}`, { headers: { prefer: 'wait=60' } });
  const stream = await fetch(`${api.url}/v1/jobs/${job.id}/events`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  let seen = '';
  while (!seen.includes('event: job.queued')) seen += (await reader.read()).value ?? '';
  await waitFor(
    async () => {
      const { text } = await api.send<string>(null, 'GET', '/metrics');
      return (
        /watchers\{kind="long_poll",app="api"\} 1/.test(text) &&
        /watchers\{kind="stream",app="api"\} 1/.test(text)
      );
    },
    { what: 'both watchers to wait' },
  );
  const server = api.services.at(-1)!;
  await withTimeout(server.stop(), 3_000, 'the server to stop');
  expect((await poll).body.status).toBe('queued');
  expect((await reader.read()).done).toBe(true);
  await expect(api.send(null, 'GET', '/livez')).rejects.toThrow();
});
