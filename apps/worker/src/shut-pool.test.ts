import { createBreakers } from '@millrace/capacity';
import { cancelJob } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestWorker, testTenant } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

const MEASURED_MS = 5_000;
const MOST_CLAIMS_PER_SECOND = 30;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker();
});
afterAll(async () => {
  await worker.stop();
});

it('a pool whose only target is closed lets hundreds of steps wait without a loop over them', async () => {
  const onError = (error: unknown): void => {
    throw error;
  };
  const policy = { leastCalls: 1, openMs: 60_000, longestOpenMs: 60_000 };
  const breakers = createBreakers({ redis: worker.redis, names: worker.names, onError, policy });
  await breakers.record('openai/gpt-6-luna', false);
  const id = await worker.submit({
    type: 'map_reduce',
    items: Array.from({ length: 300 }, (_each, index) => index),
    map: { type: 'call', model: 'openai/gpt-6-luna', prompt: 'Say {{ item }}.', max_output_tokens: 20 },
  });
  const claims = async (): Promise<number> => {
    const query = 'SELECT coalesce(sum(fence), 0)::int AS claims FROM steps WHERE job_id = $1';
    return (await worker.database.query<{ claims: number }>(query, [id]))[0]!.claims;
  };
  await waitFor(async () => (await claims()) >= 300, { timeoutMs: 30_000, what: 'all to be put off once' });
  // Until it is clear that nothing leaves.
  await pause(MEASURED_MS);
  const before = await claims();
  await pause(MEASURED_MS);
  const perSecond = (((await claims()) - before) * 1_000) / MEASURED_MS;
  console.log(`${perSecond} claims/s`);
  expect(perSecond).toBeLessThanOrEqual(MOST_CLAIMS_PER_SECOND);
  await cancelJob(worker.database, testTenant, id);
}, 90_000);
