import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDatabase } from '@millrace/ledger';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, environment: { MILLRACE_LEASE: '9s' } });
});
afterAll(() => stack.end());

const call = (name: string, latencyMs: number) => ({
  type: 'call',
  model: 'openai/gpt-6-luna',
  prompt: `Answer (${name}) [[sim:latency=${latencyMs}]][[sim:reply=answer ${name}]]`,
  max_output_tokens: 20,
});

it('gives up a step that kills its worker each time, and lets the neighbours finish that died with it', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  // Long enough to be under way whenever the poison strikes.
  const neighbours = await Promise.all(
    Array.from({ length: 6 }, (_, index) => client.submit(`neighbour-${index}`, call(`n${index}`, 1_500))),
  );
  const poison = await client.submit('poison', {
    type: 'chain',
    steps: [
      { name: 'harmless', ...call('harmless', 10) },
      { name: 'deadly', ...call('deadly', 60_000) },
    ],
  });

  let struck = 0;
  let isOver = false;
  const killing = (async () => {
    while (!isOver) {
      const sent = provider.callsOf(poison.id).filter((each) => each.stepId!.includes('/deadly')).length;
      if (sent > struck) {
        struck = sent;
        process.kill(await holderOf(poison.id), 'SIGKILL');
      }
      await pause(50);
    }
  })();
  try {
    const [failed] = await client.allEnded([poison.id], 100_000);
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'worker_crashed', step: 'deadly' } });
  } finally {
    isOver = true;
    await killing;
  }
  expect(struck).toBe(3);

  const ended = await client.allEnded(
    neighbours.map((job) => job.id),
    60_000,
  );
  expect(ended.map((job) => [job.status, job.error])).toEqual(neighbours.map(() => ['completed', null]));
  const [harmless] = await client.steps(poison.id);
  expect(harmless).toMatchObject({ key: 'harmless', status: 'completed' });
}, 200_000);

/** The process that sent a job's call which is under way. */
async function holderOf(jobId: string): Promise<number> {
  const database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  const rows = await database.query<{ owner: string }>(
    `SELECT owner FROM steps WHERE job_id = $1 AND key = 'deadly' AND status = 'sent'`,
    [jobId],
  );
  await database.close();
  return Number(rows[0]!.owner.split('-').at(-1));
}
