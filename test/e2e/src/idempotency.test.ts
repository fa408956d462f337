import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import type { HttpAnswer, JobObject } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.end());

const request = (name: string) => ({
  type: 'call',
  route: 'cheap',
  prompt: `Say it (${name}) [[sim:reply=said ${name}]]`,
  max_output_tokens: 20,
  metadata: { name },
});

it('makes one job of the same key sent 100 times in parallel, and refuses the key with another body', async () => {
  const client = createHttpClient(stack);
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => askUntilCommitted(client, request('hundred'), 'hundred')),
  );
  const statuses = new Set(answers.map((answer) => answer.status));
  expect([...statuses].filter((status) => status !== 202 && status !== 200)).toEqual([]);
  expect(new Set(answers.map((answer) => (answer.body as JobObject).id)).size).toBe(1);
  const replays = answers.filter((answer) => answer.headers.get('idempotent-replayed') === 'true');
  expect(replays).toHaveLength(99);

  const other = await client.ask('POST', '/v1/jobs', request('other'), { 'idempotency-key': 'hundred' });
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
  expect(other.headers.get('content-type')).toMatch(/^application\/problem\+json/);

  const { id } = answers[0]!.body as JobObject;
  const [ended] = await client.allEnded([id], 15_000);
  expect(ended).toMatchObject({ status: 'completed', output: 'said hundred' });
  const list = await client.ask('GET', '/v1/jobs?metadata[name]=hundred');
  expect((list.body as { data: unknown[] }).data).toHaveLength(1);
  expect(simulatedProvider(stack).callsOf(id)).toHaveLength(1);

  const replay = await client.ask('POST', '/v1/jobs', request('hundred'), { 'idempotency-key': '"hundred"' });
  expect(replay).toMatchObject({ status: 200, body: { id, output: 'said hundred' } });
  expect(replay.headers.get('idempotent-replayed')).toBe('true');
}, 40_000);

/** Sends a request again as docs/errors.md says while another one with its key is being committed. */
async function askUntilCommitted(
  client: ReturnType<typeof createHttpClient>,
  body: unknown,
  key: string,
): Promise<HttpAnswer> {
  const isBeingCommitted = ({ status, body: answered }: HttpAnswer): boolean =>
    status === 409 && (answered as { code?: string }).code === 'idempotency_in_progress';
  return waitFor(
    async () => {
      const answer = await client.ask('POST', '/v1/jobs', body, { 'idempotency-key': key });
      return !isBeingCommitted(answer) && answer;
    },
    { timeoutMs: 15_000, intervalMs: 200, what: `the key ${key} to be committed` },
  );
}

it('finds the same body again whatever the order of its fields', async () => {
  const client = createHttpClient(stack);
  const body = request('order');
  const first = await client.submit('order', body);
  const turned = Object.fromEntries(Object.entries(body).reverse());
  const second = await client.submit('order', turned);
  expect(second.id).toBe(first.id);
}, 20_000);

it('knows a key again although the API was killed -9 while it took the job', async () => {
  const client = createHttpClient(stack);
  const jobIds: string[] = [];
  // Each time the blow falls a little later: before, during and after the commit.
  for (const [round, delayMs] of [0, 4, 10, 25].entries()) {
    const key = `struck-${round}`;
    const pid = stack.processes.find((each) => each.name === 'api')!.pid;
    const answer = client.ask('POST', '/v1/jobs', request(key), { 'idempotency-key': key }).catch(() => null);
    await pause(delayMs);
    process.kill(pid!, 'SIGKILL');
    const before = await answer;
    const job = await client.submit(key, request(key));
    if (before !== null) expect((before.body as JobObject).id).toBe(job.id);
    const list = await client.ask('GET', `/v1/jobs?metadata[name]=${key}`);
    expect((list.body as { data: JobObject[] }).data.map((each) => each.id)).toEqual([job.id]);
    jobIds.push(job.id);
  }
  const ended = await client.allEnded(jobIds, 30_000);
  expect(ended.map((job) => job.status)).toEqual(['completed', 'completed', 'completed', 'completed']);
  for (const id of jobIds) expect(simulatedProvider(stack).callsOf(id)).toHaveLength(1);
}, 60_000);
