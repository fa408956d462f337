import { setTimeout as pause } from 'node:timers/promises';
import { freeze } from '@millrace/infra';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor, withTimeout } from '@millrace/test-support';
import { completedCalls } from './completed-calls.ts';
import { createHttpClient } from './http-client.ts';
import type { HttpAnswer, JobObject } from './http-client.ts';
import { mixedJob } from './mixed-jobs.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { listeningUrl, startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, environment: { MILLRACE_WORKER_CONCURRENCY: '16' } });
});
afterAll(() => stack.end());

const call = (name: string, latencyMs = 10) => ({
  type: 'call',
  route: 'cheap',
  prompt: `Answer (${name}) [[sim:latency=${latencyMs}]][[sim:reply=answer ${name}]]`,
  max_output_tokens: 20,
  metadata: { name },
});

const RECOVERY_MS = 15_000;
/** How long an answer may take while something is away. */
const PATIENCE_MS = 2_000;
/** An answer may be late because some process had no time, so the quickest of up to three counts. */
const ASKS = 3;

interface Readiness {
  status: string;
  parts: Record<string, { ok: boolean; detail: string }>;
}

it('accepts, says that Redis is away and carries on by itself when Redis hangs for 20 s', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  // One is under way when Redis goes; one comes just before, so that its wake is on the queue.
  const before = await client.submit('redis-before', call('before', 6_000));
  await provider.underWay([before.id], 1);
  const thaw = freeze(stack.serverPids().redis!);
  const frozenAt = performance.now();
  const during: JobObject[] = [];
  try {
    for (let index = 0; index < 10; index += 1) {
      const answers = await askUntilPrompt((ask) =>
        client.ask('POST', '/v1/jobs', call(`frozen ${index}`), {
          'idempotency-key': `redis-frozen-${index}-${ask}`,
        }),
      );
      for (const answer of answers) expect([index, answer.status]).toEqual([index, 202]);
      expect(quickestMs(answers)).toBeLessThan(PATIENCE_MS);
      during.push(...answers.map((answer) => answer.body as JobObject));
      await pause(300);
    }
    await waitFor(() => isDegraded(client), {
      timeoutMs: 12_000,
      intervalMs: 200,
      what: '/readyz to name Redis',
    });
    console.log(`/readyz named Redis ${Math.round(performance.now() - frozenAt)} ms after it hung`);
    // A paid answer is recorded without Redis.
    await waitFor(async () => (await client.get(before.id)).status === 'completed', {
      timeoutMs: 8_000,
      what: 'the call that was under way to be recorded',
    });
    await pause(Math.max(0, 20_000 - (performance.now() - frozenAt)));
  } finally {
    thaw();
  }
  const thawedAt = performance.now();
  await waitFor(() => anyEnded(client, during), {
    timeoutMs: RECOVERY_MS,
    what: 'first progress after Redis is back',
  });
  console.log(`first progress ${Math.round(performance.now() - thawedAt)} ms after Redis went on`);
  await expectAllOnce(client, [before, ...during]);
  let seen: unknown;
  // A Redis that has no time at this very moment is rightly said to be away.
  await waitFor(
    async () => {
      const { http, status } = await readiness(client);
      seen = { http, status };
      return http === 200 && status === 'ok';
    },
    {
      timeoutMs: 10_000,
      intervalMs: 100,
      what: () => `/readyz to be content; it says ${JSON.stringify(seen)}`,
    },
  );
}, 90_000);

it('loses nothing when Redis is killed again and again while jobs run', async () => {
  const client = createHttpClient(stack);
  const jobs: JobObject[] = [];
  const statuses = new Set<number>();
  for (let index = 0; index < 60; index += 1) {
    if (index % 20 === 10) process.kill(stack.serverPids().redis!, 'SIGKILL');
    const answer = await client.ask('POST', '/v1/jobs', mixedJob(index), {
      'idempotency-key': `redis-kill-${index}`,
    });
    statuses.add(answer.status);
    jobs.push(answer.body as JobObject);
    await pause(30);
  }
  expect([...statuses]).toEqual([202]);
  await expectAllOnce(client, jobs);
}, 60_000);

it('answers 503 within 2 s while PostgreSQL hangs, accepts nothing by halves, keeps paid answers', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const paid = await Promise.all(
    Array.from({ length: 6 }, (_, index) => client.submit(`pg-paid-${index}`, call(`paid ${index}`, 8_000))),
  );
  const ids = paid.map((job) => job.id);
  await provider.underWay(ids, 6);
  const thaw = freeze(stack.serverPids().postgres!);
  const frozenAt = performance.now();
  try {
    await expectRefusals(client, 'hang');
    expect(await readiness(client)).toMatchObject({
      http: 503,
      status: 'unavailable',
      parts: { ledger: { ok: false } },
    });
    await waitFor(() => ids.every((id) => provider.callsOf(id).every((each) => each.end?.finished)), {
      timeoutMs: 20_000,
      what: 'the provider to have answered while PostgreSQL hangs',
    });
    // Longer than a worker's lease.
    await pause(Math.max(0, 16_000 - (performance.now() - frozenAt)));
  } finally {
    thaw();
  }
  await expectRecovery(client, paid, 'hang');
}, 90_000);

it('does the same when PostgreSQL is killed -9 with calls under way', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const paid = await Promise.all(
    Array.from({ length: 6 }, (_, index) => client.submit(`pg-held-${index}`, call(`held ${index}`, 6_000))),
  );
  const ids = paid.map((job) => job.id);
  await provider.underWay(ids, 6);
  process.kill(stack.serverPids().postgres!, 'SIGKILL');
  const killedAt = performance.now();
  const isAnswered = () => ids.every((id) => provider.callsOf(id).every((each) => each.end !== null));
  const answers = await askWhileAway(
    client,
    'killed',
    () => performance.now() - killedAt < 3_000 || !isAnswered(),
  );
  console.log(
    `while PostgreSQL was started again: ${[...new Set(answers.map((each) => each.status))].join(', ')}`,
  );
  await expectRecovery(client, paid, 'killed');
}, 60_000);

it('starts without PostgreSQL and Redis and works once they are there', async () => {
  const thaw = [freeze(stack.serverPids().postgres!), freeze(stack.serverPids().redis!)];
  const started = performance.now();
  try {
    const api = await stack.spawn('api', { MILLRACE_BOOTSTRAP_KEY: stack.bootstrapKey });
    const [worker, scheduler] = await Promise.all([stack.spawn('worker'), stack.spawn('scheduler')]);
    const url = await listeningUrl(api);
    const alone = createHttpClient({ apiUrl: url, bootstrapKey: stack.bootstrapKey });
    expect(await readiness(alone)).toMatchObject({ http: 503, status: 'unavailable' });
    const refused = await alone.ask('POST', '/v1/jobs', call('early'), { 'idempotency-key': 'early' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'ledger_unavailable' } });
    await pause(Math.max(0, 8_000 - (performance.now() - started)));
    expect([api, worker, scheduler].map((app) => app.process.isRunning())).toEqual([true, true, true]);
    for (const each of thaw) each();

    await waitFor(async () => (await readiness(alone)).status === 'ok', {
      timeoutMs: RECOVERY_MS,
      intervalMs: 100,
      what: 'the new API to be ready',
    });
    await worker.waitForLine((line) => line.includes('"working"'), RECOVERY_MS);
    const job = await alone.submit('early', call('early'));
    expect(await alone.allEnded([job.id], RECOVERY_MS)).toMatchObject([{ output: 'answer early' }]);
    for (const app of [api, worker, scheduler]) {
      expect(await withTimeout(app.kill('SIGTERM'), 10_000, 'a clean end')).toEqual({
        code: 0,
        signal: null,
      });
    }
  } finally {
    for (const each of thaw) each();
  }
}, 60_000);

type Client = ReturnType<typeof createHttpClient>;

async function readiness(client: Client): Promise<Readiness & { http: number }> {
  const answer = await client.ask('GET', '/readyz');
  return { ...(answer.body as Readiness), http: answer.status };
}

async function isDegraded(client: Client): Promise<boolean> {
  const { http, status, parts } = await readiness(client);
  return (
    http === 200 &&
    status === 'degraded' &&
    !parts['transport']!.ok &&
    /Redis/.test(parts['transport']!.detail)
  );
}

async function anyEnded(client: Client, jobs: readonly JobObject[]): Promise<boolean> {
  for (const job of jobs) if ((await client.get(job.id)).status === 'completed') return true;
  return false;
}

/** Every job completes, and the provider has completed each of its steps exactly once. */
async function expectAllOnce(client: Client, jobs: readonly JobObject[]): Promise<void> {
  const ids = jobs.map((job) => job.id);
  const ended = await client.allEnded(ids, 40_000);
  expect(
    ended.filter((job) => job.status !== 'completed').map((job) => [job.id, job.status, job.error]),
  ).toEqual([]);
  expect(ended.reduce((sum, job) => sum + job.usage.ambiguous_calls, 0)).toBe(0);
  const counts = [...completedCalls(stack.simulatorJournalPath!)].filter(([step]) =>
    ids.includes(step.split('/')[0]!),
  );
  expect(counts.filter(([, count]) => count !== 1)).toEqual([]);
}

/** Asks once, and again, up to three times in all, as long as the answers are late. */
async function askUntilPrompt(ask: (number: number) => Promise<HttpAnswer>): Promise<HttpAnswer[]> {
  const answers: HttpAnswer[] = [];
  while (answers.length < ASKS && quickestMs(answers) >= PATIENCE_MS) answers.push(await ask(answers.length));
  return answers;
}

const quickestMs = (answers: readonly HttpAnswer[]): number =>
  Math.min(...answers.map((answer) => answer.tookMs));

async function askWhileAway(client: Client, name: string, goOn: () => boolean): Promise<HttpAnswer[]> {
  const answers: HttpAnswer[] = [];
  for (let index = 0; index < 5 || goOn(); index += 1) {
    const key = `pg-${name}-${index % 5}`;
    const asked = await askUntilPrompt(() =>
      client.ask('POST', '/v1/jobs', call(`${name} ${index % 5}`), { 'idempotency-key': key }),
    );
    const refusals = asked.filter((answer) => answer.status === 503);
    if (refusals.length > 0) expect(quickestMs(refusals)).toBeLessThan(PATIENCE_MS);
    answers.push(...asked);
    await pause(100);
  }
  const away = answers.filter((answer) => answer.status === 503);
  for (const answer of away) {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(answer.body).toMatchObject({ code: 'ledger_unavailable', status: 503 });
  }
  expect(
    answers.map((answer) => answer.status).filter((status) => ![200, 202, 503].includes(status)),
  ).toEqual([]);
  return answers;
}

async function expectRefusals(client: Client, name: string): Promise<void> {
  const answers = await askWhileAway(client, name, () => false);
  expect(answers.length).toBeGreaterThanOrEqual(5);
  expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 503));
}

/** Paid answers are recorded within the recovery time, and each refused key makes one job. */
async function expectRecovery(client: Client, paid: readonly JobObject[], name: string): Promise<void> {
  const backAt = performance.now();
  const recorded = await client.allEnded(
    paid.map((job) => job.id),
    RECOVERY_MS,
  );
  console.log(
    `paid answers on record ${Math.round(performance.now() - backAt)} ms after PostgreSQL was back (${name})`,
  );
  expect(recorded.map((job) => [job.status, job.usage.calls])).toEqual(paid.map(() => ['completed', 1]));
  const jobs: JobObject[] = [];
  for (let index = 0; index < 5; index += 1) {
    const job = await client.submit(`pg-${name}-${index}`, call(`${name} ${index}`));
    const again = await client.submit(`pg-${name}-${index}`, call(`${name} ${index}`));
    expect(again.id).toBe(job.id);
    const list = await client.ask('GET', `/v1/jobs?metadata[name]=${encodeURIComponent(`${name} ${index}`)}`);
    expect((list.body as { data: JobObject[] }).data.map((each) => each.id)).toEqual([job.id]);
    jobs.push(job);
  }
  await expectAllOnce(client, [...paid, ...jobs]);
}
