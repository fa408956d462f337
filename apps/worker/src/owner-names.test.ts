import { cancelJob } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestWorker, testTenant } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({ workers: 2, environment: { MILLRACE_WORKER_CONCURRENCY: '1' } });
});
afterAll(async () => {
  await worker.stop();
});

it('two workers of one host and process number hold their steps under names of their own', async () => {
  // As in a container, where each new process has the name and number of the one that died: its death must count.
  const prompt = 'Say yes. [[sim:latency=30000]]';
  const ids = await Promise.all(
    [1, 2].map(() => worker.submit({ type: 'call', model: 'openai/gpt-6-luna', prompt })),
  );
  const owners = async () => {
    const rows = await worker.database.query<{ owner: string }>(
      `SELECT owner FROM steps WHERE job_id = ANY ($1) AND status = 'sent'`,
      [ids],
    );
    return rows.map(({ owner }) => owner);
  };
  await waitFor(async () => (await owners()).length === 2, {
    timeoutMs: 25_000,
    what: 'both calls to be sent',
  });
  expect(new Set(await owners()).size).toBe(2);
  for (const id of ids) await cancelJob(worker.database, testTenant, id);
}, 60_000);
