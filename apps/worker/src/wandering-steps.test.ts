import { createCapacityBook } from '@millrace/capacity';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestWorker } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

const config = `pools:
  left: {targets: ["openai/gpt-6.1-sol"], tokens_per_minute: 10000, burst: 600s, fixed: true}
  right: {targets: ["openai/gpt-6-luna"], tokens_per_minute: 10000, burst: 600s, fixed: true}
routes:
  either: {targets: [{target: openai/gpt-6.1-sol}], fallback: [openai/gpt-6-luna]}
`;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({ config, simulator: { config: { latencyMs: 50 } } });
});
afterAll(async () => {
  await worker.stop();
});

it('a call that neither of two pools has room for waits at one, instead of going to and fro', async () => {
  const { redis, names, database } = worker;
  const limits = { tokens: 10_000, burstMs: 600_000, fixed: true };
  const onError = (error: unknown): void => {
    throw error;
  };
  const domains = new Map([
    ['left', limits],
    ['right', limits],
  ]);
  const book = createCapacityBook({ redis, names, onError, domains });
  for (const pool of ['left', 'right']) {
    await redis.hset(names.book(pool), 'born', Date.now() - 120_000);
    const filled = await book.reserve(pool, { inputTokens: 1, maxOutputTokens: 8_000 });
    expect(filled.verdict).toBe('leave');
  }
  const id = await worker.submit({ type: 'call', route: 'either', prompt: 'Hi.', max_output_tokens: 4_000 });
  const claims = async (): Promise<number> => {
    const [row] = await database.query<{ fence: number }>('SELECT fence FROM steps WHERE job_id = $1', [id]);
    return row?.fence ?? 0;
  };
  await waitFor(async () => (await claims()) > 0, { what: 'the first claim', timeoutMs: 15_000 });
  const endsAt = performance.now() + 4_000;
  await waitFor(() => performance.now() > endsAt, { what: 'four seconds', timeoutMs: 6_000 });
  expect(await claims()).toBeLessThanOrEqual(2);
}, 40_000);
