import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { advanceJob } from '../jobs/advance-job.ts';
import { eraseJob } from '../jobs/erase-job.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { completed, outcome, pending } from '../testing/outcomes.ts';
import { findEarlierAnswer } from './find-earlier-answer.ts';
import { recordOutcomes } from './record-outcomes.ts';
import type { NextState } from './step-outcome.ts';

let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

async function record(jobId: string, next: NextState) {
  const [step] = await ledger.claim(jobId, ['s']);
  const [result] = await recordOutcomes(ledger.database, [outcome(step!, next)]);
  return result!;
}
const degradedOf = async (jobId: string) => [
  (await ledger.step(jobId, 's'))['degraded'],
  (await ledger.job(jobId))['degraded'],
];
const HOUR_MS = 3_600_000;

it('a step at the last resort of its route says so until it moves on, and its job says so with its answer', async () => {
  const jobId = await ledger.addJob({}, [{ key: 's', degraded: 'cheapest' }]);
  expect(await degradedOf(jobId)).toEqual(['cheapest', false]);
  const back = { target: 'openai/any', pool: 'openai', gaveUp: false };
  await record(jobId, pending({ move: back, countsAttempt: false }));
  expect(await degradedOf(jobId)).toEqual([null, false]);
  await record(jobId, pending({ move: { ...back, degraded: 'cheapest' }, countsAttempt: false }));
  await record(jobId, pending());
  expect(await degradedOf(jobId)).toEqual(['cheapest', false]);
  await record(jobId, completed());
  expect(await degradedOf(jobId)).toEqual(['cheapest', true]);
});

it('a step without trouble is not degraded, and neither is its job', async () => {
  const jobId = await ledger.addJob({}, ['s']);
  await record(jobId, completed());
  expect(await degradedOf(jobId)).toEqual([null, false]);
});

it('the plan sees how sure an answer was', async () => {
  const jobId = await ledger.addJob({}, ['s']);
  await record(jobId, { status: 'completed', output: 'x', meanLogprob: -0.25 });
  await advanceJob(ledger.database, jobId, async ({ steps }) => {
    expect(steps.get('s')).toMatchObject({ output: 'x', meanLogprob: -0.25 });
    return { kind: 'finish', status: 'completed', output: 'x', error: null };
  });
});

it('an earlier answer is found for the same tenant within the time, the latest first, and never a degraded one', async () => {
  const ask = (more: { tenantId?: string; withinMs?: number; requestHash?: string } = {}) =>
    findEarlierAnswer(ledger.database, {
      requestHash: 'h1',
      tenantId: testTenant,
      withinMs: HOUR_MS,
      ...more,
    });
  const answered = async (next: NextState) => {
    const jobId = await ledger.addJob({}, [{ key: 's', requestHash: 'h1' }]);
    await record(jobId, next);
    return jobId;
  };
  expect(await ask()).toBeNull();
  await answered(completed('first'));
  const second = await answered(completed('second'));
  await answered({ status: 'completed', output: 'first', degraded: 'stale' });
  expect(await ask()).toEqual({ output: 'second' });
  expect(await ask({ tenantId: 'somebody-else' })).toBeNull();
  expect(await ask({ requestHash: 'h2' })).toBeNull();
  await ledger.database.query(`UPDATE steps SET finished_at = finished_at - interval '2 hours'`);
  expect(await ask()).toBeNull();
  expect(await ask({ withinMs: 3 * HOUR_MS })).toEqual({ output: 'second' });

  await advanceJob(ledger.database, second, async () => ({
    kind: 'finish',
    status: 'completed',
    output: 'second',
    error: null,
  }));
  expect(await eraseJob(ledger.database, testTenant, second)).toBe('erased');
  expect(await ask({ withinMs: 3 * HOUR_MS })).toEqual({ output: 'first' });
  expect((await ledger.step(second, 's'))['request_hash']).toBeNull();
});
