import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { completedCalls } from './completed-calls.ts';
import { createHttpClient } from './http-client.ts';
import type { HttpAnswer } from './http-client.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** Ten calls a second, so that as many as these wait for half a minute. */
const CALLS = 300;
const BOUND_SECONDS = 10;

let stack: TestStack;
let client: ReturnType<typeof createHttpClient>;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 1,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: '16',
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 100 }),
    },
    configuration: [
      'pools: {openai: {requests_per_minute: 600, fixed: true}}',
      `backpressure: {standard: ${BOUND_SECONDS}s, background: 5s}`,
    ].join('\n'),
  });
  client = createHttpClient(stack);
}, 90_000);
afterAll(() => stack.end());

const call = { type: 'call', model: 'openai/gpt-6-luna', max_output_tokens: 20, lane: 'realtime' };
/** Sends a job once, without the patience of a client. */
const submit = (priority: string, key: string): Promise<HttpAnswer> =>
  client.ask('POST', '/v1/jobs', { ...call, priority, prompt: `As ${priority}` }, { 'idempotency-key': key });
const idOf = ({ body }: HttpAnswer): string => (body as { id: string }).id;

it('refuses background work while a backlog misses its bound, lets realtime work in, and names the time after which there is room', async () => {
  const backlog = await client.submit('backlog', {
    type: 'map_reduce',
    items: Array.from({ length: CALLS }, (_each, index) => index),
    map: { type: 'call', model: 'openai/gpt-6-luna', prompt: 'Item {{ item }}', max_output_tokens: 20 },
  });
  let wait: number | null | undefined;
  await waitFor(
    async () => {
      const { body } = await client.ask('GET', '/internal/scaling');
      const { pools } = body as { pools: Record<string, { wait_seconds: { standard: number } | null }> };
      wait = pools.openai?.wait_seconds?.standard;
      return wait != null && wait > BOUND_SECONDS + 5;
    },
    { timeoutMs: 20_000, what: () => `a backlog that misses its bound; it would wait for ${wait} s` },
  );

  const refused = await submit('background', 'refused');
  const refusedAt = performance.now();
  expect(refused).toMatchObject({ status: 429, body: { code: 'queue_full' } });
  const retryAfterMs = Number(refused.headers.get('retry-after')) * 1_000;
  // What is too much of the backlog, and no more than that.
  expect(retryAfterMs).toBeGreaterThanOrEqual(3_000);
  expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  const urgent = await submit('realtime', 'urgent');
  expect(urgent.status).toBe(202);
  await client.allEnded([idOf(urgent)], 10_000);

  await pause(Math.max(0, refusedAt + retryAfterMs / 2 - performance.now()));
  expect(await submit('background', 'too early')).toMatchObject({ status: 429 });
  await pause(Math.max(0, refusedAt + retryAfterMs - performance.now()));
  let accepted = await submit('background', 'in time');
  // A forecast: in whole seconds, of a plan that is a second or two old, and of how fast the machine is.
  await waitFor(
    async () => {
      if (accepted.status === 429) accepted = await submit('background', 'in time');
      return accepted.status === 202;
    },
    { timeoutMs: Math.max(3_000, retryAfterMs / 2), intervalMs: 250, what: 'background work to be let in' },
  );
  const tookMs = performance.now() - refusedAt;
  console.log(`Retry-After ${retryAfterMs / 1_000} s, let in after ${(tookMs / 1_000).toFixed(1)} s`);

  const ids = [backlog.id, idOf(urgent), idOf(accepted)];
  const ended = await client.allEnded(ids, 90_000);
  expect(ended.map(({ status }) => status)).toEqual(ids.map(() => 'completed'));
  expect(completedCalls(stack.simulatorJournalPath!).size).toBe(CALLS + 2);
}, 200_000);
