import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinBatches, readJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** Stages at which the scheduler is killed -9, in the order of a batch's life. */
const POINTS = [
  'batch.bound',
  'batch.gathered',
  'batch.before-upload',
  'batch.uploaded',
  'batch.after-upload',
  'batch.after-create',
  'batch.recorded',
  'batch.poll',
  'batch.line',
  'batch.lines-recorded',
  'batch.read',
  'batch.discarded',
];
/** Only OpenAI's batches have a file that goes up first. */
const OF_UPLOADS = ['batch.uploaded', 'batch.after-upload'];
const JOBS_PER_ROUND = 100;

const orders = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 1,
    environment: {
      // The build in which crash points can be ordered.
      NODE_OPTIONS: '--conditions=millrace-chaos',
      CHAOS_DIRECTORY: orders,
      SIMULATOR_CONFIG: JSON.stringify({
        batches: { validateMs: 100, runMs: 700, finalizeMs: 50, tickMs: 50 },
      }),
      MILLRACE_BATCH_COLLECT_AGE: '1s',
      MILLRACE_BATCH_POLL_INTERVAL: '1s',
      MILLRACE_BATCH_LIST_LAG: '5s',
      MILLRACE_BATCH_PILOT_FROM: '1000000',
      MILLRACE_BATCH_ESCAPE_MARGIN: '20s',
      MILLRACE_LEADER_LEASE: '3s',
    },
  });
}, 120_000);
afterAll(async () => {
  await stack.end();
  rmSync(orders, { recursive: true });
});

function orderCrash(point: string): void {
  const order = { crash: { id: point, point, passing: 1, about: null }, defects: [] };
  writeFileSync(join(orders, 'next.json'), JSON.stringify(order));
  renameSync(join(orders, 'next.json'), join(orders, 'orders.json'));
}

function landed(): string[] {
  try {
    const lines = readFileSync(join(orders, 'landed.jsonl'), 'utf8').trim().split('\n');
    return lines.map((line) => (JSON.parse(line) as { point: string }).point);
  } catch {
    return [];
  }
}

it(`${POINTS.length * JOBS_PER_ROUND} jobs ride in batches, each answered once, while the scheduler is killed at every stage`, async () => {
  const client = createHttpClient(stack);
  const ids: string[] = [];
  for (const [round, point] of POINTS.entries()) {
    orderCrash(point);
    const jobs = await Promise.all(
      Array.from({ length: JOBS_PER_ROUND }, (_, n) =>
        client.submit(`round-${round}-${n}`, {
          type: 'call',
          model:
            round % 2 === 0 || OF_UPLOADS.includes(point)
              ? 'openai/gpt-6-luna'
              : 'anthropic/claude-haiku-5-5',
          prompt: `Classify ticket ${round}-${n}.`,
          max_output_tokens: 40,
          lane: 'batch',
          deadline: '24h',
        }),
      ),
    );
    const ofRound = jobs.map((job) => job.id);
    ids.push(...ofRound);
    const ended = await client.allEnded(ofRound, 120_000);
    expect(ended.filter((job) => job.status !== 'completed').map((job) => [job.id, job.error])).toEqual([]);
    await waitFor(() => landed().includes(point), { timeoutMs: 30_000, what: `a crash at ${point}` });
  }
  const batches = joinBatches(readJournal(stack.simulatorJournalPath!));
  const sets = batches.map((batch) => batch.read?.customIdsSha256);
  expect(new Set(sets).size).toBe(batches.length);
  const answered = batches.flatMap((batch) => batch.lines.filter((line) => line.result === 'succeeded'));
  expect(answered).toHaveLength(ids.length);
  const bill = (await (await fetch(`${stack.simulatorUrl}/_simulator/bill`)).json()) as {
    lanes: Record<string, { costUsd: string; standardUsd: string }>;
  };
  expect(Number(bill.lanes['realtime']?.costUsd ?? 0)).toBe(0);
  expect(Number(bill.lanes['batch']!.costUsd) / Number(bill.lanes['batch']!.standardUsd)).toBeCloseTo(0.5, 3);
  console.log(`${batches.length} batches, ${landed().length} crashes: ${landed().join(', ')}`);
}, 900_000);

it('what rides in a batch that never ends is answered in realtime before its deadline', async () => {
  writeFileSync(join(orders, 'orders.json'), JSON.stringify({ crash: null, defects: [] }));
  const client = createHttpClient(stack);
  await simulatedProvider(stack).fault({ kind: 'batch_stuck', times: 5, at: 0.5 });
  const jobs = await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      client.submit(`stuck-${n}`, {
        type: 'call',
        model: 'openai/gpt-6-luna',
        prompt: `Ticket ${n}.`,
        lane: 'batch',
        deadline: '32s',
      }),
    ),
  );
  const ended = await client.allEnded(
    jobs.map((job) => job.id),
    60_000,
  );
  expect(ended.map((job) => job.status)).toEqual(jobs.map(() => 'completed'));
}, 180_000);
