import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { loadConfig } from '@millrace/config';
import { ensureTenant } from '@millrace/ledger';
import { joinJournal, workedMs } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterEach, expect, it } from 'vitest';
import { startTestWorker } from '../../worker/src/testing/start-test-worker.ts';
import type { TestWorker } from '../../worker/src/testing/start-test-worker.ts';
import { ageEveryMs, longestWaitMs } from './ageing-bound.ts';

const TOKENS = 500;
const CALLS_PER_SECOND = 10;
const AT_A_TIME = 4;
const LIMITS = { standardMs: 2_000, backgroundMs: 3_000 };

let worker: TestWorker | null = null;
afterEach(async () => {
  await worker?.stop();
  worker = null;
});

const call = (priority: string) => ({
  type: 'call',
  model: 'openai/gpt-6-luna',
  prompt: 'Go.',
  max_output_tokens: TOKENS,
  priority,
});

it('a background call of a pool that more urgent work fills without end leaves within the bound', async () => {
  const started = await startTestWorker({
    config: `ageing: {standard: ${LIMITS.standardMs}ms, background: ${LIMITS.backgroundMs}ms}
pools:
  busy: {targets: [openai/gpt-6-luna], tokens_per_minute: ${CALLS_PER_SECOND * TOKENS * 60}, burst: 1s, fixed: true}
`,
    environment: { MILLRACE_WORKER_CONCURRENCY: String(AT_A_TIME) },
    simulator: { config: { latencyMs: 20 } },
  });
  worker = started;
  for (const tenantId of ['patient', 'busy']) await ensureTenant(started.database, tenantId);
  const sent = () => joinJournal(started.simulator.journal());

  let flows = true;
  const stream = async (priority: string, perSecond: number): Promise<void> => {
    while (flows) {
      await started.submit(call(priority), { tenantId: 'busy' });
      await pause(1_000 / perSecond);
    }
  };
  // More realtime work than the pool can do, so that nothing of another class ever gets a turn by itself.
  const backlog = Array.from({ length: 40 }, () => started.submit(call('realtime'), { tenantId: 'busy' }));
  await Promise.all(backlog);
  const streams = [stream('realtime', CALLS_PER_SECOND * 1.5), stream('standard', 3)];
  await waitFor(() => sent().length >= CALLS_PER_SECOND, { timeoutMs: 15_000, what: 'the pool to be busy' });

  const patient = await started.submit(call('background'), { tenantId: 'patient' });
  const own = () => sent().find(({ stepId }) => stepId?.startsWith(`${patient}/`));
  await waitFor(() => own() !== undefined, { timeoutMs: 25_000, what: 'the background call' });
  flows = false;
  await Promise.all(streams);
  const [step] = await started.database.query<{ placedAt: number }>(
    'SELECT (extract(epoch FROM created_at) * 1000)::float8 AS "placedAt" FROM steps WHERE job_id = $1',
    [patient],
  );
  const arrivedAt = Date.parse(own()!.at);
  const waitedMs = arrivedAt - step!.placedAt;
  const moments = sent().map(({ at }) => Date.parse(at));
  // Without the time in which this process stood still, and the pool with it.
  const servedMs = workedMs(moments, step!.placedAt, arrivedAt);
  // A pool that a slow machine serves late hands its shares out as late: the bound is by what it did serve in that time.
  const calls = moments.filter((at) => at > step!.placedAt && at <= arrivedAt).length;
  const callsPerSecond = Math.min(CALLS_PER_SECOND, (calls * 1_000) / servedMs);
  const boundMs = longestWaitMs('background', LIMITS, {
    tokens: TOKENS,
    // The other tenant's flow of weight 1, its aged one of a quarter, and its own of a quarter.
    flows: (1 + 0.25 + 0.25) / 0.25,
    callsTokens: (2 + AT_A_TIME) * TOKENS,
    tokensPerMinute: callsPerSecond * TOKENS * 60,
  });
  console.log(
    `waited ${Math.round(waitedMs)} ms, ${Math.round(servedMs)} of them served, at most ${Math.round(boundMs)} ms`,
  );
  expect(servedMs).toBeLessThanOrEqual(boundMs);
  // It did wait for both classes: the pool was never free for it before.
  expect(waitedMs).toBeGreaterThanOrEqual(LIMITS.standardMs + LIMITS.backgroundMs);
}, 60_000);

it('the bound is that of the documentation with the defaults', () => {
  const addresses = { DATABASE_URL: 'postgres://127.0.0.1/millrace', REDIS_URL: 'redis://127.0.0.1:6379' };
  const { ageing } = loadConfig(addresses, '/');
  const minutes = (priority: 'background' | 'standard') => longestWaitMs(priority, ageing) / 60_000;
  const page = readFileSync(
    join(import.meta.dirname, '../../../docs/decisions/2026-11-21-fair-order.md'),
    'utf8',
  );
  expect(page).toContain(
    `${minutes('background')} minutes with the defaults, and ${minutes('standard')} minutes for \`standard\``,
  );
  expect(longestWaitMs('realtime', ageing)).toBe(0);
});

it('rounds come every tenth of the shorter time, from half a second to 15 s', () => {
  expect(ageEveryMs({ standardMs: 600_000, backgroundMs: 1_800_000 })).toBe(15_000);
  expect(ageEveryMs({ standardMs: 60_000, backgroundMs: 30_000 })).toBe(3_000);
  expect(ageEveryMs({ standardMs: 1, backgroundMs: 1 })).toBe(500);
});
