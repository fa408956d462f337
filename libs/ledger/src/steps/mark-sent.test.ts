import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { cancelJob } from '../jobs/cancel-job.ts';
import { testTenant } from '../testing/new-job.ts';
import { departure, openTestLedger, waitFor } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, outcome, pending } from '../testing/outcomes.ts';
import { claimSteps } from './claim-steps.ts';
import type { ClaimedStep } from './claim-steps.ts';
import { markSent } from './mark-sent.ts';
import { recordOutcomes } from './record-outcomes.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, { maxConnections: 20 });
  database = ledger.database;
  // Checked by PostgreSQL at every statement, so that no instant escapes (I6).
  await database.query(
    'ALTER TABLE jobs ADD CONSTRAINT within_cap CHECK (cost_micro_usd + reserved_micro_usd <= max_cost_micro_usd)',
  );
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const keys = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`);
const attempts = (jobId: string) =>
  database.query<{ number: number; status: string; fence: number }>(
    'SELECT number, status, fence FROM attempts WHERE job_id = $1 ORDER BY step_key, number',
    [jobId],
  );

describe('a departure', () => {
  it('puts the attempt, the booking and the event on record before the call leaves', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    const [result] = await markSent(database, [departure(step!, 30)]);
    expect(result).toMatchObject({
      verdict: 'go',
      attempt: 1,
      events: [{ jobId, type: 'step.started', data: { step: 's', attempt: 1, target: 'openai/any' } }],
    });
    expect(await ledger.step(jobId, 's')).toMatchObject({ status: 'sent', calls: 1 });
    expect(await ledger.job(jobId)).toMatchObject({ calls: 1, reserved_micro_usd: 30, cost_micro_usd: 0 });
    expect(await attempts(jobId)).toEqual([{ number: 1, status: 'sent', fence: 1 }]);
  });

  it('after a lost answer tells watchers first to drop what they saw of it', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    await markSent(database, [departure(step!)]);
    await database.query(`UPDATE steps SET wake_at = now() - interval '1 minute' WHERE job_id = $1`, [jobId]);
    const [again] = await ledger.claim(jobId, ['s']);
    const [result] = await markSent(database, [departure(again!)]);
    expect(result).toMatchObject({
      attempt: 2,
      events: [
        { type: 'step.retried', data: { step: 's', reason: 'lost_answer', attempt: 1 } },
        { type: 'step.started', data: { step: 's', attempt: 2 } },
      ],
    });
  });

  it('with an old fence is stale and leaves no trace', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    const [old] = await ledger.claim(jobId, ['s']);
    await ledger.passTime(20_000);
    await ledger.claim(jobId, ['s']);
    const before = await ledger.job(jobId);
    expect(await markSent(database, [departure(old!, 30)])).toEqual([{ verdict: 'stale' }]);
    expect(await ledger.job(jobId)).toEqual(before);
    expect(await attempts(jobId)).toEqual([]);
  });

  it('is stale once the job has ended or does not exist', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    await cancelJob(database, testTenant, jobId);
    const departures = [departure(step!), { ...departure(step!), jobId: 'job_unknown' }];
    expect(await markSent(database, departures)).toEqual([{ verdict: 'stale' }, { verdict: 'stale' }]);
  });

  it('that comes twice leaves once', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    const results = await markSent(database, [departure(step!, 30), departure(step!, 30)]);
    expect(results.map((each) => each.verdict)).toEqual(['go', 'stale']);
    expect(await markSent(database, [departure(step!, 30)])).toEqual([{ verdict: 'stale' }]);
    expect(await ledger.job(jobId)).toMatchObject({ calls: 1, reserved_micro_usd: 30 });
  });

  it('numbers the attempts of a step 1, 2, 3 over all its claims', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    for (const number of [1, 2, 3]) {
      const { step, attempt } = await ledger.send(jobId, 's');
      expect(attempt).toBe(number);
      await recordOutcomes(database, [outcome(step, pending(), attemptEnd(attempt, { status: 'failed' }))]);
    }
    expect(await attempts(jobId)).toEqual(
      [1, 2, 3].map((number) => ({ number, status: 'failed', fence: number })),
    );
  });

  it('keeps the numbers of the events without a gap while many steps of several jobs leave at once', async () => {
    const jobs = await Promise.all([1, 2, 3].map(() => ledger.addJob({}, keys(30))));
    const steps = (await Promise.all(jobs.map((jobId) => ledger.claim(jobId, keys(30))))).flat();
    const shuffled = steps.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const batches = Array.from({ length: 18 }, (_, index) => shuffled.slice(index * 5, index * 5 + 5));
    const results = await Promise.all(
      batches.map((batch) =>
        markSent(
          database,
          batch.map((step) => departure(step)),
        ),
      ),
    );
    expect(results.flat().every((each) => each.verdict === 'go')).toBe(true);
    for (const jobId of jobs) {
      const rows = await database.query<{ sequence: number }>(
        'SELECT sequence FROM job_events WHERE job_id = $1 ORDER BY sequence',
        [jobId],
      );
      expect(rows.map((row) => row.sequence)).toEqual(Array.from({ length: 32 }, (_, index) => index + 1));
    }
  });
});

describe('the cap of a job', () => {
  it('is never passed by what is settled and reserved, with 50 steps that leave and end at once', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, keys(50));
    const steps = await ledger.claim(jobId, keys(50), 60_000);
    let left = 0;
    const run = async (step: ClaimedStep): Promise<'done' | 'over'> => {
      for (;;) {
        const [result] = await markSent(database, [departure(step, 10)]);
        if (result!.verdict === 'go') {
          left += 1;
          await recordOutcomes(database, [
            outcome(step, completed(), attemptEnd(result!.attempt, { usage: billed(6) })),
          ]);
          return 'done';
        }
        if (result!.verdict !== 'over_cap') throw new Error(result!.verdict);
        if (!result!.othersUnderWay) return 'over';
      }
    };
    const ends = await Promise.all(steps.map(run));
    // 15 calls at 6 settle 90; a 16th needs 10 more, which just fits, and makes 96.
    expect(left).toBe(16);
    expect(ends.filter((end) => end === 'over')).toHaveLength(34);
    expect(await ledger.job(jobId)).toMatchObject({ cost_micro_usd: 96, reserved_micro_usd: 0, calls: 16 });
  });

  it('counts the calls of one batch against each other', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 25 }, keys(4));
    const steps = await ledger.claim(jobId, keys(4));
    const results = await markSent(
      database,
      steps.map((step) => departure(step, 10)),
    );
    expect(results.map((each) => each.verdict)).toEqual(['go', 'go', 'over_cap', 'over_cap']);
    expect(results[3]).toEqual({ verdict: 'over_cap', othersUnderWay: true });
  });

  it('keeps what a lost call may have cost: its booking outlives the claim', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    await ledger.send(jobId, 's', 40);
    await ledger.passTime(20_000);
    const [again] = await ledger.claim(jobId, ['s']);
    // Handed back without a call: capacity was short.
    await recordOutcomes(database, [outcome(again!, pending({ countsAttempt: false }))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 40 });
    const { step, attempt } = await ledger.send(jobId, 's', 50);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 90 });
    await recordOutcomes(database, [outcome(step, completed(), attemptEnd(attempt, { usage: billed(45) }))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 40, cost_micro_usd: 45 });
  });

  it('turns the booking of a lost call into cost when its answer arrives after all', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    const lost = await ledger.send(jobId, 's', 60);
    await ledger.passTime(20_000);
    const { step, attempt } = await ledger.send(jobId, 's', 40);
    const late = outcome(lost.step, completed(), attemptEnd(lost.attempt, { usage: billed(55) }));
    await recordOutcomes(database, [late, late]);
    await recordOutcomes(database, [late]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 45, cost_micro_usd: 55 });
    await recordOutcomes(database, [outcome(step, completed(), attemptEnd(attempt, { usage: billed(30) }))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 5, cost_micro_usd: 85 });
  });

  it('gets back what a call has booked whose step was given up, and lets others wait for that', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['given up', 's']);
    const dropped = await ledger.send(jobId, 'given up', 100);
    await waitFor(database, jobId, [], ['given up']);
    const [step] = await ledger.claim(jobId, ['s']);
    expect(await markSent(database, [departure(step!, 50)])).toEqual([
      { verdict: 'over_cap', othersUnderWay: true },
    ]);
    await recordOutcomes(database, [
      outcome(dropped.step, pending(), attemptEnd(1, { status: 'cancelled', usage: billed(40) })),
    ]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 0, cost_micro_usd: 40 });
    expect(await markSent(database, [departure(step!, 50)])).toMatchObject([{ verdict: 'go' }]);
  });

  it('keeps the booking of a call that ended and may have been billed, until something is known', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s', 't']);
    const unknown = await ledger.send(jobId, 's', 30);
    const known = await ledger.send(jobId, 't', 30);
    await recordOutcomes(database, [
      outcome(unknown.step, pending(), attemptEnd(1, { status: 'interrupted', ambiguous: true })),
      outcome(
        known.step,
        pending(),
        attemptEnd(1, { status: 'interrupted', ambiguous: true, usage: billed(20) }),
      ),
    ]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 30, cost_micro_usd: 20 });
  });

  it('keeps what a call has booked above the estimate of what it cost, where its answer was cut', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s', 'given up']);
    const end = (attempt: number, status: 'failed' | 'interrupted', costMicroUsd: number) =>
      attemptEnd(attempt, { status, ambiguous: true, usage: { ...billed(costMicroUsd), estimated: true } });
    const cut = await ledger.send(jobId, 's', 30);
    await recordOutcomes(database, [outcome(cut.step, pending(), end(1, 'failed', 2))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 28, cost_micro_usd: 2 });
    // One that we ended ourselves costs what had come by then; one that cost more than its worst case gives back that.
    const ended = await ledger.send(jobId, 's', 30);
    await recordOutcomes(database, [outcome(ended.step, pending(), end(2, 'interrupted', 3))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 28, cost_micro_usd: 5 });
    const dear = await ledger.send(jobId, 's', 10);
    await recordOutcomes(database, [outcome(dear.step, pending(), end(3, 'failed', 15))]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 28, cost_micro_usd: 20 });

    const dropped = await ledger.send(jobId, 'given up', 20);
    await waitFor(database, jobId, [], ['given up']);
    const report = outcome(dropped.step, pending(), end(dropped.attempt, 'failed', 4));
    await recordOutcomes(database, [report, report]);
    await recordOutcomes(database, [report]);
    expect(await ledger.job(jobId)).toMatchObject({ reserved_micro_usd: 44, cost_micro_usd: 24 });
    expect(await ledger.step(jobId, 'given up')).toMatchObject({ reserved_micro_usd: 0 });
  });

  it('does not make a step wait for a booking that nobody will give back', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    await ledger.send(jobId, 's', 60);
    await ledger.passTime(20_000);
    const [step] = await claimSteps(database, [{ jobId, key: 's' }], 'b', 10_000);
    expect(await markSent(database, [departure(step!, 60)])).toEqual([
      { verdict: 'over_cap', othersUnderWay: false },
    ]);
  });
});
