import { createBatchPort } from '@millrace/providers';
import type { ProviderCall } from '@millrace/providers';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { lineName } from './line-name.ts';
import { plantSteps } from './testing/plant-steps.ts';
import { KEY, openSchedulerRoom } from './testing/scheduler-process.ts';
import type { SchedulerRoom } from './testing/scheduler-process.ts';

const LINES = 50_000;
const JOBS = 500;
const BATCH = 'pb_00000000000000000000000001';

let room: SchedulerRoom;
beforeAll(async () => {
  room = await openSchedulerRoom();
}, 60_000);
afterAll(() => room.close(), 60_000);

/** A batch of all lines that runs at the provider, as an earlier scheduler has left it. */
async function submitAll(): Promise<string> {
  const port = createBatchPort({
    name: 'openai',
    kind: 'openai',
    baseUrl: `${room.simulator.url}/openai/v1`,
    apiKey: KEY,
    maxConcurrentSockets: 2,
  })!;
  const call: ProviderCall = {
    model: 'gpt-6-luna',
    system: null,
    messages: [{ role: 'user', content: 'Sort this. [[sim:reply=sorted]]' }],
    output: null,
    maxOutputTokens: 100,
    requestTag: '',
    timeoutMs: 1_000,
  };
  async function* lines() {
    for (let line = 0; line < LINES; line += 1) yield port.toLine(lineName(BATCH, line), call);
  }
  const submission = { batchId: BATCH, model: call.model, lineCount: LINES, lines: lines(), handles: {} };
  const created = await port.submit(
    { ...submission, signal: new AbortController().signal },
    { onUploaded: () => Promise.resolve() },
  );
  return created.providerBatchId;
}

async function count(what: string): Promise<number> {
  const [row] = await room.database.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${what}`);
  return row!.count;
}
const recorded = () => count("steps WHERE status = 'completed'");

it(`a scheduler killed in the middle of ${LINES} results loses none and records none twice`, async () => {
  const providerBatchId = await submitAll();
  await plantSteps(room.database, {
    jobs: JOBS,
    lines: LINES,
    target: 'openai/gpt-6-luna',
    pool: 'openai',
    prompt: `'Sort this. [[sim:reply=sorted]]'`,
    batch: { id: BATCH, providerBatchId, model: 'gpt-6-luna' },
  });
  const startedAt = performance.now();
  const first = await room.spawn();
  await waitFor(async () => (await recorded()) >= 0.4 * LINES, {
    timeoutMs: 180_000,
    intervalMs: 100,
    what: () => `the first 40 % to be recorded\n${first.logs().slice(-20).join('\n')}`,
  });
  await first.kill('SIGKILL');
  const before = await recorded();
  expect(before).toBeLessThan(LINES);
  const killedAt = performance.now();
  const second = await room.spawn();
  await waitFor(async () => (await count("provider_batches WHERE status = 'ended'")) === 1, {
    timeoutMs: 240_000,
    intervalMs: 250,
    what: () => `the batch to end\n${second.logs().slice(-20).join('\n')}`,
  });
  const seconds = (ms: number) => (ms / 1_000).toFixed(1);
  console.log(
    `${before} of ${LINES} lines when it was killed, after ${seconds(killedAt - startedAt)} s; ` +
      `the rest ${seconds(performance.now() - killedAt)} s later`,
  );
  expect(await recorded()).toBe(LINES);
  expect(await count("attempts WHERE status <> 'completed'")).toBe(0);
  expect(await count('attempts')).toBe(LINES);
  expect(await count('usage')).toBe(LINES);
  // Each told once, and each job charged for its lines once.
  expect(await count("job_events WHERE type = 'step.completed'")).toBe(LINES);
  expect(
    await count("(SELECT DISTINCT job_id, data->>'step' FROM job_events WHERE type = 'step.completed') e"),
  ).toBe(LINES);
  expect(
    await count(`jobs WHERE steps_done <> ${LINES / JOBS} OR steps_open <> 0 OR calls <> ${LINES / JOBS}`),
  ).toBe(0);
  const [sums] = await room.database.query<Record<string, number>>(
    `SELECT (SELECT sum(cost_micro_usd)::bigint FROM jobs) AS jobs, (SELECT sum(cost_micro_usd)::bigint FROM usage) AS usage,
       (SELECT cost_micro_usd FROM provider_batches) AS batch, (SELECT answered FROM provider_batches) AS answered`,
  );
  expect(sums!['jobs']).toBe(sums!['usage']);
  expect(sums!['batch']).toBe(sums!['usage']);
  expect(sums!['answered']).toBe(LINES);
  expect(await checkLedger(room.database)).toEqual([]);
}, 480_000);
