import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { cancelJob } from '../jobs/cancel-job.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger, waitFor } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, failed, held, outcome, pending } from '../testing/outcomes.ts';
import { claimSteps } from './claim-steps.ts';
import type { ClaimedStep } from './claim-steps.ts';
import { recordOutcomes } from './record-outcomes.ts';
import type { NextState } from './step-outcome.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, { maxConnections: 20 });
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const keys = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`);
const record = async (step: ClaimedStep, next: NextState) =>
  (await recordOutcomes(database, [outcome(step, next)]))[0]!;
const usageOf = (jobId: string) =>
  database.query<{ step_key: string; attempt: number; cost: number; input: number }>(
    `SELECT step_key, attempt, cost_micro_usd AS cost, input_tokens AS input FROM usage WHERE job_id = $1
     ORDER BY step_key, attempt`,
    [jobId],
  );

describe('an answer', () => {
  it('with an old fence changes no step, and what it cost is booked', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const old = await ledger.send(jobId, 's');
    await ledger.passTime(20_000);
    const [taken] = await ledger.claim(jobId, ['s']);
    const before = await ledger.step(jobId, 's');
    const [result] = await recordOutcomes(database, [
      outcome(old.step, completed('stale'), attemptEnd(old.attempt, { usage: billed(5) })),
    ]);
    expect(result).toEqual({
      accepted: false,
      mayAdvance: false,
      events: [],
      deliveryIds: [],
      pending: null,
    });
    expect(await ledger.step(jobId, 's')).toEqual({
      ...before,
      input_tokens: 10,
      cached_input_tokens: 1,
      output_tokens: 20,
      reasoning_tokens: 3,
      cost_micro_usd: 5,
    });
    expect(await ledger.job(jobId)).toMatchObject({ cost_micro_usd: 5, input_tokens: 10, steps_done: 0 });
    expect(await record(taken!, completed('fresh'))).toMatchObject({ accepted: true, mayAdvance: true });
    expect(await ledger.step(jobId, 's')).toMatchObject({ output: 'fresh' });
  });

  it('that is reported again changes nothing and is billed once', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const { step, attempt } = await ledger.send(jobId, 's');
    const report = outcome(step, completed(), attemptEnd(attempt, { usage: billed(5) }));
    await recordOutcomes(database, [report]);
    const before = [await ledger.job(jobId), await ledger.step(jobId, 's')];
    expect(await recordOutcomes(database, [report])).toMatchObject([{ accepted: false, mayAdvance: false }]);
    expect([await ledger.job(jobId), await ledger.step(jobId, 's')]).toEqual(before);
    expect(await usageOf(jobId)).toEqual([{ step_key: 's', attempt: 1, cost: 5, input: 10 }]);
  });

  it('that stands twice in one batch is accepted and billed once', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 1_000 }, ['s', 't']);
    const { step, attempt } = await ledger.send(jobId, 's', 50);
    await ledger.send(jobId, 't', 70);
    const report = outcome(step, completed(), attemptEnd(attempt, { usage: billed(5) }));
    const results = await recordOutcomes(database, [report, report]);
    expect(results.filter((each) => each.accepted)).toHaveLength(1);
    expect(await ledger.job(jobId)).toMatchObject({
      steps_done: 1,
      steps_open: 1,
      cost_micro_usd: 5,
      reserved_micro_usd: 70,
    });
  });

  it('with an old fence beside the one with the present fence gives no booking back twice', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 1_000 }, ['s', 't']);
    const old = await ledger.send(jobId, 's', 50);
    await ledger.passTime(20_000);
    const now = await ledger.send(jobId, 's', 60);
    await ledger.send(jobId, 't', 70);
    const results = await recordOutcomes(database, [
      outcome(old.step, completed('stale'), attemptEnd(old.attempt, { usage: billed(5) })),
      outcome(now.step, completed('fresh'), attemptEnd(now.attempt, { usage: billed(6) })),
    ]);
    expect(results.map((each) => each.accepted)).toEqual([false, true]);
    // 70 of the other step, and what is left of the 50 that the lost call had booked.
    expect(await ledger.job(jobId)).toMatchObject({ cost_micro_usd: 11, reserved_micro_usd: 115 });
    expect(await ledger.step(jobId, 's')).toMatchObject({ output: 'fresh', cost_micro_usd: 11 });
  });

  it('to a job that was cancelled is refused, and what it cost is booked', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['s']);
    const { step, attempt } = await ledger.send(jobId, 's', 50);
    await cancelJob(database, testTenant, jobId);
    const [result] = await recordOutcomes(database, [
      outcome(step, completed(), attemptEnd(attempt, { status: 'cancelled', usage: billed(5) })),
    ]);
    expect(result).toMatchObject({ accepted: false, mayAdvance: false });
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'cancelled',
      cost_micro_usd: 5,
      reserved_micro_usd: 0,
    });
  });

  it('makes the totals of the job the sum of its usage, whatever comes at once', async () => {
    const jobId = await ledger.addJob({}, keys(40));
    const sent = await Promise.all(keys(40).map((key) => ledger.send(jobId, key)));
    const reports = sent.map(({ step, attempt }, index) =>
      outcome(
        step,
        index % 3 === 0 ? failed() : completed(),
        attemptEnd(attempt, { usage: billed(index, index + 1) }),
      ),
    );
    const batches = [...reports, ...reports.toReversed()].map((_, index, all) =>
      all.slice(index * 6, index * 6 + 6),
    );
    await Promise.all(batches.slice(0, 14).map((batch) => recordOutcomes(database, batch)));
    const [sums] = await database.query(
      `SELECT sum(input_tokens)::int AS input_tokens, sum(cached_input_tokens)::int AS cached_input_tokens,
         sum(output_tokens)::int AS output_tokens, sum(reasoning_tokens)::int AS reasoning_tokens,
         sum(cost_micro_usd)::int AS cost_micro_usd FROM usage WHERE job_id = $1`,
      [jobId],
    );
    expect(sums).toMatchObject({ input_tokens: 820, cost_micro_usd: 780 });
    expect(await ledger.job(jobId)).toMatchObject({
      ...(sums as object),
      calls: 40,
      steps_done: 26,
      steps_open: 0,
    });
  });
});

describe('the order of endings', () => {
  it('is 1, 2, 3 … without a double, in the order of the commits', async () => {
    const jobId = await ledger.addJob({}, keys(60));
    const steps = await ledger.claim(jobId, keys(60), 60_000);
    const order: string[] = [];
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const batch = steps.slice(index * 3, index * 3 + 3);
        const states = [completed(), index % 2 ? held() : failed(), completed()];
        const reports = batch.map((step, place) => outcome(step, states[place]!));
        await recordOutcomes(database, reports);
      }),
    );
    const events = await database.query<{ step: string }>(
      `SELECT data->>'step' AS step FROM job_events WHERE job_id = $1 AND type IN ('step.completed', 'step.failed')
       ORDER BY sequence`,
      [jobId],
    );
    const rows = await database.query<{ key: string; ordinal: number }>(
      'SELECT key, ordinal FROM steps WHERE job_id = $1 AND ordinal IS NOT NULL ORDER BY ordinal',
      [jobId],
    );
    order.push(...events.map((event) => event.step));
    expect(rows.map((row) => row.key)).toEqual(order);
    expect(rows.map((row) => row.ordinal)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(await ledger.job(jobId)).toMatchObject({
      last_ordinal: 50,
      steps_open: 10,
      status: 'requires_action',
    });
  });

  it('goes on growing after outcomes that were refused', async () => {
    const jobId = await ledger.addJob({}, ['s', 't', 'u']);
    const [old] = await ledger.claim(jobId, ['s']);
    await ledger.passTime(20_000);
    const [s, t, u] = await ledger.claim(jobId, ['s', 't', 'u']);
    await recordOutcomes(database, [outcome(old!, completed()), outcome(t!, completed())]);
    await recordOutcomes(database, [outcome(u!, completed()), outcome(s!, completed())]);
    const rows = await database.query<{ key: string }>(
      'SELECT key FROM steps WHERE job_id = $1 ORDER BY ordinal',
      [jobId],
    );
    expect(rows.map((row) => row.key)).toEqual(['t', 'u', 's']);
  });
});

describe('a plan may go on', () => {
  const barriers = { a1: 'a', a2: 'a', b1: 'b', b2: 'b', eager: null, idle: 'c' };
  const shapes = Object.entries(barriers).map(([key, barrier]) => ({ key, barrier }));
  const start = async () => {
    const jobId = await ledger.addJob({}, shapes);
    const steps = await ledger.claim(jobId, Object.keys(barriers));
    const of = (key: string) => steps.find((step) => step.key === key)!;
    const ends = async (...reports: [string, NextState][]) => {
      const results = await recordOutcomes(
        database,
        reports.map(([key, next]) => outcome(of(key), next)),
      );
      const { wake_at } = await ledger.job(jobId);
      return { may: results.map((each) => each.mayAdvance), woken: wake_at !== null };
    };
    return { jobId, ends };
  };
  const no = { may: [false], woken: false };
  const yes = { may: [true], woken: true };

  it('when a step ends that nobody else is waited for with', async () => {
    expect(await (await start()).ends(['eager', completed()])).toEqual(yes);
  });

  it('when the last step of a barrier ends, not before', async () => {
    const { ends } = await start();
    expect(await ends(['a1', completed()])).toEqual(no);
    expect(await ends(['b1', completed()])).toEqual(no);
    expect(await ends(['a2', completed()])).toEqual(yes);
  });

  it('when any step fails', async () => {
    expect(await (await start()).ends(['a1', failed()])).toEqual(yes);
  });

  it('when a batch ends a barrier, for each of several barriers by itself', async () => {
    const { ends } = await start();
    expect((await ends(['a1', completed()], ['b1', completed()])).may).toEqual([false, false]);
    expect((await ends(['a2', completed()], ['b2', completed()])).may).toEqual([true, true]);
    const other = await start();
    expect((await other.ends(['b1', completed()], ['a1', completed()], ['a2', completed()])).may).toContain(
      true,
    );
  });

  it('not when a step is tried again or held, even as the last of its barrier', async () => {
    const { ends } = await start();
    await ends(['a1', completed()]);
    expect(await ends(['a2', pending()])).toEqual(no);
    expect(await ends(['b1', held()])).toEqual(no);
    expect(await ends(['b2', completed()])).toEqual(no);
  });

  it('not for the last of a barrier beside one that the same batch holds', async () => {
    const { ends } = await start();
    expect((await ends(['a1', completed()], ['a2', held()])).may).toEqual([false, false]);
  });

  it('when the last step of all ends, although its barrier has others that were given up', async () => {
    const { jobId, ends } = await start();
    await waitFor(database, jobId, [], ['a2', 'b1', 'b2', 'eager', 'idle']);
    expect(await ends(['a1', completed()])).toEqual(yes);
  });

  it('exactly once when the two last steps of a barrier end at the same time', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { ends } = await start();
      const may = (await Promise.all([ends(['a1', completed()]), ends(['a2', completed()])])).flatMap(
        (each) => each.may,
      );
      expect(may.toSorted()).toEqual([false, true]);
    }
  });
});

describe('a step that is held', () => {
  it('makes the job wait for a decision, tells its webhook and its watchers, and stays open', async () => {
    const webhook = { url: 'https://example.com/hook', events: ['job.requires_action'] };
    const jobId = await ledger.addJob({ webhook }, ['s', 't']);
    const [s, t] = await ledger.claim(jobId, ['s', 't']);
    const error = { code: 'ambiguous_refused', message: 'lost' };
    const result = await record(s!, held(error));
    expect(result).toMatchObject({ accepted: true, mayAdvance: false, pending: null });
    expect(result.deliveryIds).toHaveLength(1);
    expect(result.events).toMatchObject([{ type: 'job.requires_action', data: { step: 's', error } }]);
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'requires_action',
      steps_open: 2,
      steps_done: 0,
    });
    expect(await ledger.step(jobId, 's')).toMatchObject({
      status: 'held',
      error,
      wake_at: null,
      owner: null,
    });
    expect(await record(t!, completed())).toMatchObject({ mayAdvance: true });
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'requires_action',
      steps_open: 1,
      steps_done: 1,
    });
  });
});

describe('a step that goes on', () => {
  it('waits as long as it is told, and is looked for ten seconds later', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    const result = await record(step!, pending({ delayMs: 60_000 }));
    expect(result.pending).toEqual({ pool: 'openai', fence: 1, charge: null });
    const row = await ledger.step(jobId, 's');
    expect(row).toMatchObject({
      status: 'pending',
      owner: null,
      attempts: 1,
      target_attempts: 1,
      ordinal: null,
    });
    expect(Number(row['wake_at']) - Number(row['not_before'])).toBe(10_000);
    expect(Math.abs(Number(row['not_before']) - Date.now() - 60_000)).toBeLessThan(5_000);
    expect(await claimSteps(database, [{ jobId, key: 's' }], 'b', 1_000)).toEqual([]);
    await ledger.passTime(60_000);
    expect(await claimSteps(database, [{ jobId, key: 's' }], 'b', 1_000)).toHaveLength(1);
  });

  it('to another target remembers the one that it left and begins to count anew', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await record((await ledger.claim(jobId, ['s']))[0]!, pending());
    const move = { target: 'anthropic/other', pool: 'anthropic' };
    const left = { ...move, gaveUp: true };
    const result = await record((await ledger.claim(jobId, ['s']))[0]!, pending({ move: left }));
    expect(result.pending).toEqual({
      pool: 'anthropic',
      fence: 2,
      charge: { tenantId: testTenant, tier: 'standard', tokens: 1_000, aged: false },
    });
    expect((await ledger.claim(jobId, ['s']))[0]).toMatchObject({
      ...move,
      spentTargets: ['openai/any'],
      targetAttempts: 0,
      attempts: 2,
      fence: 3,
    });
  });

  it('to a repair carries the answer that did not fit until it ends', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const repair = { answer: 'nul \u0000', feedback: 'not JSON', fingerprint: 'f' };
    await record((await ledger.claim(jobId, ['s']))[0]!, pending({ repair, countsAttempt: false }));
    const [again] = await ledger.claim(jobId, ['s']);
    expect(again).toMatchObject({ repair, repairs: 1, attempts: 0 });
    await record(again!, pending());
    const [third] = await ledger.claim(jobId, ['s']);
    expect(third).toMatchObject({ repair, repairs: 1, attempts: 1 });
    await record(third!, completed());
    expect(await ledger.step(jobId, 's')).toMatchObject({ repair: null, repairs: 1 });
  });

  it('forgets the deaths of its workers once one of them brought an outcome that counts', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.claim(jobId, ['s']);
    await ledger.passTime(20_000);
    const [second] = await claimSteps(database, [{ jobId, key: 's' }], 'another worker', 12_000);
    expect(second!.deaths).toBe(1);
    await record(second!, pending({ countsAttempt: false }));
    const [third] = await ledger.claim(jobId, ['s']);
    expect(third!.deaths).toBe(1);
    await record(third!, pending());
    expect((await ledger.claim(jobId, ['s']))[0]!.deaths).toBe(0);
  });

  it('is not taken for the victim of a dead worker when its own worker claims it again', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.claim(jobId, ['s']);
    await ledger.passTime(20_000);
    expect((await ledger.claim(jobId, ['s']))[0]).toMatchObject({ fence: 2, deaths: 0 });
  });

  it('that was handed back unsent closes an attempt whose departure was committed unheard', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const { step } = await ledger.send(jobId, 's');
    await recordOutcomes(database, [outcome(step, pending({ countsAttempt: false }))]);
    const rows = await database.query('SELECT status, error_code FROM attempts WHERE job_id = $1', [jobId]);
    expect(rows).toEqual([{ status: 'interrupted', error_code: 'ledger_unavailable' }]);
    expect((await ledger.claim(jobId, ['s']))[0]).toMatchObject({ lostAnswer: false, deaths: 0 });
  });

  it('tells its watchers why it starts again', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const { step, attempt } = await ledger.send(jobId, 's');
    const retried = { reason: 'overloaded', attempt };
    const [result] = await recordOutcomes(database, [
      {
        ...outcome(
          step,
          pending(),
          attemptEnd(attempt, {
            status: 'failed',
            httpStatus: 529,
            error: { code: 'provider_overloaded', message: 'm' },
          }),
        ),
        retried,
      },
    ]);
    expect(result!.events).toMatchObject([{ type: 'step.retried', data: { step: 's', ...retried } }]);
  });
});

describe('an ambiguous attempt', () => {
  it('is counted on its step and its job', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const { step, attempt } = await ledger.send(jobId, 's');
    await recordOutcomes(database, [
      outcome(step, pending(), attemptEnd(attempt, { status: 'failed', ambiguous: true })),
    ]);
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 1 });
    expect(await ledger.step(jobId, 's')).toMatchObject({ ambiguous: true, ambiguous_calls: 1 });
  });
});
