import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { checkLedger } from '../../../libs/ledger/src/testing/check-ledger.ts';
import { startTestWorker, testTenant } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

let worker: TestWorker;
afterEach(async () => {
  expect(await checkLedger(worker.database)).toEqual([]);
  await worker.stop();
});

/** Batches that end within a second or two of real time. */
const quick = { validateMs: 50, runMs: 600, finalizeMs: 20, cancelMs: 50, tickMs: 20 };

const start = (environment: Record<string, string> = {}, batches: object = quick) =>
  startTestWorker({
    environment: {
      MILLRACE_BATCH_COLLECT_AGE: '500ms',
      MILLRACE_BATCH_POLL_INTERVAL: '500ms',
      MILLRACE_BATCH_ESCAPE_MARGIN: '1m',
      ...environment,
    },
    simulator: { config: { batches } },
  });

const call = (change: Record<string, unknown> = {}) => ({
  type: 'call',
  model: 'openai/gpt-6-luna',
  prompt: 'Classify this ticket: the printer is on fire.',
  max_output_tokens: 50,
  ...change,
});

async function allEnded(timeoutMs = 60_000): Promise<void> {
  await waitFor(
    async () => {
      const [row] = await worker.database.query<{ open: number }>(
        'SELECT count(*)::int AS open FROM jobs WHERE finished_at IS NULL',
      );
      return row?.open === 0;
    },
    { timeoutMs, intervalMs: 100, what: 'all jobs to end' },
  );
}

interface Bill {
  lanes: Record<string, { costUsd: string; standardUsd: string }>;
}

async function bill(): Promise<Bill['lanes']> {
  const response = await fetch(`${worker.simulator.url}/_simulator/bill`);
  return ((await response.json()) as Bill).lanes;
}

async function addFault(fault: object): Promise<void> {
  const response = await fetch(`${worker.simulator.url}/_simulator/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fault),
  });
  expect(response.ok).toBe(true);
}

describe('jobs with a day’s time', () => {
  it.each(['openai/gpt-6-luna', 'anthropic/claude-haiku-5-5'])(
    'ride in batches of %s at half the price, each answered once',
    async (model) => {
      worker = await start();
      const ids = await Promise.all(
        Array.from({ length: 300 }, (_, n) =>
          worker.submit(call({ model, prompt: `Classify ticket ${n}.`, deadline: '24h' })),
        ),
      );
      await allEnded();
      const rows = await worker.database.query<{ status: string; lane: string; count: number }>(
        'SELECT status, lane, count(*)::int AS count FROM steps GROUP BY status, lane ORDER BY lane',
      );
      // One request of the new shape was tried first.
      expect(rows).toEqual([
        { status: 'completed', lane: 'batch', count: 299 },
        { status: 'completed', lane: 'realtime', count: 1 },
      ]);
      const [step] = await worker.steps(ids[299]!);
      expect(step).toMatchObject({ laneReason: 'deadline_allows' });
      const lanes = await bill();
      expect(Number(lanes['batch']!.costUsd)).toBeCloseTo(Number(lanes['batch']!.standardUsd) / 2, 6);
      const [usage] = await worker.database.query<{ cost: number; realtime: number }>(
        `SELECT sum(cost_micro_usd)::bigint AS cost, sum(realtime_micro_usd)::bigint AS realtime
         FROM usage WHERE service_tier = 'batch'`,
      );
      expect(usage!.cost / usage!.realtime).toBeCloseTo(0.5, 1);
      const [batches] = await worker.database.query<{ count: number; lines: number }>(
        "SELECT count(*)::int AS count, sum(answered)::int AS lines FROM provider_batches WHERE outcome = 'completed'",
      );
      expect(batches!.lines).toBe(299);
    },
    90_000,
  );

  it('fail alone where their lines fail', async () => {
    worker = await start({ MILLRACE_BATCH_PILOT_FROM: '1000' });
    await addFault({ kind: 'batch_lines_fail', times: 10, lines: 0.05, kinds: 'bad_request,server_error' });
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => worker.submit(call({ prompt: `Ticket ${n}.`, deadline: '24h' }))),
    );
    await allEnded();
    const rows = await worker.database.query<{ status: string; count: number }>(
      'SELECT status, count(*)::int AS count FROM jobs GROUP BY status ORDER BY status',
    );
    const count = Object.fromEntries(rows.map((row) => [row.status, row.count]));
    expect(count['completed']! + (count['failed'] ?? 0)).toBe(200);
    expect(count['failed']).toBeGreaterThan(0);
    expect(count['failed']).toBeLessThanOrEqual(10);
  }, 90_000);
});

it('a batch that is stuck is left before the deadline, and every deadline is kept', async () => {
  worker = await start(
    { MILLRACE_BATCH_ESCAPE_MARGIN: '10s', MILLRACE_BATCH_PILOT_FROM: '1000' },
    { ...quick, runMs: 3_600_000 },
  );
  const ids = await Promise.all(
    Array.from({ length: 60 }, () => worker.submit(call({ lane: 'batch', deadline: '14s' }))),
  );
  await allEnded();
  const jobs = await Promise.all(ids.map((id) => worker.ended(id)));
  expect(new Set(jobs.map((job) => job.status))).toEqual(new Set(['completed']));
  const [step] = await worker.steps(ids[0]!);
  expect(step).toMatchObject({ lane: 'realtime', laneReason: 'escaped_deadline', batchId: null });
  await waitFor(
    async () => {
      const open = await worker.database.query("SELECT id FROM provider_batches WHERE status <> 'ended'");
      return open.length === 0;
    },
    { timeoutMs: 20_000, what: 'the batch to be cancelled' },
  );
  const [batch] = await worker.database.query<Record<string, unknown>>('SELECT * FROM provider_batches');
  expect(batch).toMatchObject({ outcome: 'cancelled', paid_twice: 0 });
}, 90_000);

it('a map of many chunks rides in a batch while its reduce does as the deadline allows', async () => {
  worker = await start({ MILLRACE_BATCH_PILOT_FROM: '5' });
  const id = await worker.submit({
    type: 'map_reduce',
    items: Array.from({ length: 40 }, (_, n) => `chapter ${n}`),
    map: call({ prompt: 'Summarize {{ item }}' }),
    reduce: call({ prompt: 'Join: {{ items | size }}' }),
    deadline: '24h',
  });
  expect(await worker.ended(id, 60_000)).toMatchObject({ status: 'completed' });
  const steps = await worker.steps(id);
  const lanes = Map.groupBy(steps, (step) => step.lane);
  expect(lanes.get('batch')!.length).toBeGreaterThanOrEqual(39);
}, 90_000);

it('a tenant that forbids the lane is served in realtime', async () => {
  worker = await start();
  await worker.database.query('UPDATE tenants SET batch_allowed = false WHERE id = $1', [testTenant]);
  const id = await worker.submit(call({ lane: 'batch', deadline: '24h' }));
  await worker.ended(id);
  expect(await worker.steps(id)).toMatchObject([{ lane: 'realtime', laneReason: 'forbidden_by_tenant' }]);
});

it('a job whose deadline is too near for a batch takes flex where it is far enough, else realtime', async () => {
  worker = await start({ MILLRACE_CALL_TIMEOUT: '1m' });
  const far = await worker.submit(call({ deadline: '2h' }));
  const near = await worker.submit(call({ deadline: '2m' }));
  const none = await worker.submit(call());
  for (const id of [far, near, none]) await worker.ended(id);
  expect(await worker.steps(far)).toMatchObject([{ lane: 'flex', laneReason: 'deadline_near' }]);
  expect(await worker.steps(near)).toMatchObject([{ lane: 'realtime', laneReason: 'deadline_near' }]);
  expect(await worker.steps(none)).toMatchObject([{ lane: 'realtime', laneReason: 'no_deadline' }]);
});

it('a call for which flex has no room is made in realtime at once', async () => {
  worker = await start({ MILLRACE_CALL_TIMEOUT: '1m' });
  await addFault({ kind: 'flex_unavailable', times: 1 });
  const id = await worker.submit(call({ deadline: '2h' }));
  await worker.ended(id);
  const [step] = await worker.steps(id);
  expect(step).toMatchObject({ lane: 'realtime', laneReason: 'again_after_flex' });
  expect(step!.attempts).toHaveLength(2);
});
