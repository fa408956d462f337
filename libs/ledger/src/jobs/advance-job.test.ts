import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { checkLedger } from '../testing/check-ledger.ts';
import { testTenant } from '../testing/new-job.ts';
import { advance, complete, newStep, openTestLedger, waitFor } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { completed, failed, outcome } from '../testing/outcomes.ts';
import { advanceJob, advanceJobs } from './advance-job.ts';
import type { AdvanceDecision } from './advance-job.ts';
import type { JobState } from './lock-jobs.ts';
import { cancelJob } from './cancel-job.ts';
import { failJob } from './fail-job.ts';
import { findEvents } from './find-events.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, { maxConnections: 16 });
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const keys = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`);
const typesOf = async (jobId: string) =>
  (await findEvents(database, jobId, 0, 100)).map((event) => event.type);

describe('an advance', () => {
  it('inserts each step once, however many advance at once', async () => {
    const jobId = await ledger.addJob();
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, index) => waitFor(database, jobId, keys(10 + index))),
    );
    expect(results.flatMap((result) => result.steps.map((step) => step.key)).toSorted()).toEqual(
      keys(19).toSorted(),
    );
    expect(results.flatMap((result) => result.events.map((event) => event.type))).toEqual(['job.started']);
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'in_progress',
      steps_known: 19,
      steps_open: 19,
      steps_done: 0,
    });
    expect(await typesOf(jobId)).toEqual(['job.queued', 'job.started']);
  });

  it('shows the plan what is recorded: outputs, errors, and the order of the endings', async () => {
    const input = { nul: '\u0000' };
    const content = { plan: { type: 'call', model: 'openai/any', prompt: 'p' }, input, params: { p: 1 } };
    const jobId = await ledger.addJob({ content, priority: 'realtime' }, ['a', 'b', 'c', 'd', 'f']);
    const [a, b, c] = await ledger.claim(jobId, ['a', 'b', 'c']);
    const error = { code: 'provider_bad_answer', message: 'no' };
    await recordOutcomes(database, [outcome(c!, completed({ c: ['\u0000'] })), outcome(a!, failed(error))]);
    await recordOutcomes(database, [outcome(b!, completed(null))]);
    await waitFor(database, jobId, [], ['d']);
    const shown = Promise.withResolvers<JobState>();
    await advanceJob(database, jobId, async (state) => {
      shown.resolve(state);
      return { kind: 'wait', steps: [newStep('e')], abandoned: [] };
    });
    const state = await shown.promise;
    expect(state).toMatchObject({ jobId, priority: 'realtime', input, params: { p: 1 }, plan: content.plan });
    expect(Object.fromEntries(state.steps)).toEqual({
      a: { key: 'a', status: 'failed', output: null, error, ordinal: 2 },
      b: { key: 'b', status: 'completed', output: null, error: null, ordinal: 3 },
      c: { key: 'c', status: 'completed', output: { c: ['\u0000'] }, error: null, ordinal: 1 },
      d: { key: 'd', status: 'open', output: null, error: null, ordinal: null },
      f: { key: 'f', status: 'open', output: null, error: null, ordinal: null },
    });
  });

  it('gives steps up for good: they are not claimed any more and count no longer', async () => {
    const jobId = await ledger.addJob({}, ['a', 'b', 'c']);
    const [a, b] = await ledger.claim(jobId, ['a', 'b']);
    await recordOutcomes(database, [outcome(a!, completed())]);
    const result = await waitFor(database, jobId, ['d'], ['a', 'b', 'unknown']);
    expect(result).toMatchObject({ outcome: 'waiting', abandoned: ['a', 'b', 'unknown'] });
    expect(await ledger.step(jobId, 'a')).toMatchObject({ status: 'completed' });
    expect(await ledger.step(jobId, 'b')).toMatchObject({ status: 'cancelled', wake_at: null });
    expect(await ledger.job(jobId)).toMatchObject({ steps_known: 3, steps_open: 2, steps_done: 1 });
    expect(await recordOutcomes(database, [outcome(b!, completed())])).toMatchObject([{ accepted: false }]);
    // The same key again does not bring it back.
    expect((await waitFor(database, jobId, ['b'])).steps).toEqual([]);
  });

  it('of a plan that waits for nothing fails the job instead of leaving it for ever', async () => {
    const jobId = await ledger.addJob({}, ['a']);
    const result = await waitFor(database, jobId, ['a'], ['a']);
    expect(result).toMatchObject({ outcome: 'finished', finished: { status: 'failed' } });
    expect(await ledger.job(jobId)).toMatchObject({ status: 'failed', error: { code: 'internal_error' } });
    const fresh = await ledger.addJob();
    expect(await waitFor(database, fresh, [])).toMatchObject({ outcome: 'finished' });
    expect(await typesOf(fresh)).toEqual(['job.queued', 'job.failed']);
  });

  it('after the deadline ends the job as expired without asking the plan', async () => {
    const webhook = { url: 'https://example.com/', events: ['job.expired'] };
    const jobId = await ledger.addJob({ deadlineAt: Date.now() + 60_000, webhook }, ['a', 'b']);
    const [a] = await ledger.claim(jobId, ['a']);
    expect(await ledger.job(jobId).then((job) => job['wake_at'] === job['deadline_at'])).toBe(true);
    await ledger.passTime(60_001);
    const result = await advanceJob(database, jobId, () => Promise.reject(new Error('asked')));
    expect(result).toMatchObject({ outcome: 'finished', finished: { status: 'expired', droppedSteps: 2 } });
    expect(result.deliveryIds).toHaveLength(1);
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'expired',
      error: { code: 'deadline_exceeded' },
      steps_open: 0,
      wake_at: null,
    });
    expect(await recordOutcomes(database, [outcome(a!, completed())])).toMatchObject([
      { accepted: false, mayAdvance: false },
    ]);
  });

  it('that comes late does not take away what was recorded in time', async () => {
    const finish = (): Promise<AdvanceDecision> =>
      Promise.resolve({ kind: 'finish', status: 'completed', output: 'paid', error: null });
    const goOn = (): Promise<AdvanceDecision> =>
      Promise.resolve({ kind: 'wait', steps: [newStep('b')], abandoned: [] });
    const recordAndPass = async (passedMs: number, lateMs: number, names = ['a']): Promise<string> => {
      const jobId = await ledger.addJob({ deadlineAt: Date.now() + 60_000 }, names);
      const [a] = await ledger.claim(jobId, ['a']);
      await ledger.passTime(passedMs);
      await recordOutcomes(database, [outcome(a!, completed())]);
      await ledger.passTime(lateMs);
      const moved = `finished_at = finished_at - $2 * interval '1 millisecond'`;
      await database.query(`UPDATE steps SET ${moved} WHERE job_id = $1`, [jobId, lateMs]);
      return jobId;
    };
    const inTime = await recordAndPass(10_000, 60_000);
    expect(await advanceJob(database, inTime, finish)).toMatchObject({ finished: { status: 'completed' } });
    expect(await ledger.job(inTime)).toMatchObject({ status: 'completed', error: null });
    const unfinished = await recordAndPass(10_000, 60_000);
    expect(await advanceJob(database, unfinished, goOn)).toMatchObject({ finished: { status: 'expired' } });
    await expect(ledger.step(unfinished, 'b')).rejects.toThrow('there is no b');
    // Neither does what comes in later, as the call of a branch that was cut.
    const cut = await recordAndPass(10_000, 60_000, ['a', 'c']);
    const [c] = await ledger.claim(cut, ['c']);
    await recordOutcomes(database, [outcome(c!, failed({ code: 'provider_timeout', message: 'cut' }))]);
    const shown = await advanceJob(database, cut, (state) => {
      expect(state.steps.get('a')?.status).toBe('completed');
      expect(state.steps.get('c')?.status).toBe('open');
      return finish();
    });
    expect(shown).toMatchObject({ finished: { status: 'completed' } });
    const tooLate = await recordAndPass(61_000, 0);
    expect(await advanceJob(database, tooLate, finish)).toMatchObject({ finished: { status: 'expired' } });
  });

  it('of a job that has ended or never was does nothing', async () => {
    const jobId = await ledger.addJob();
    await complete(database, jobId);
    for (const id of [jobId, 'job_unknown']) {
      expect(await advanceJob(database, id, () => Promise.reject(new Error('asked')))).toMatchObject({
        outcome: 'gone',
      });
    }
  });

  it('whose plan throws leaves the job as it was', async () => {
    const jobId = await ledger.addJob({}, ['a']);
    const before = await ledger.job(jobId);
    const thrown = new Error('a plan with a mistake');
    await expect(advanceJob(database, jobId, () => Promise.reject(thrown))).rejects.toBe(thrown);
    expect(await ledger.job(jobId)).toEqual(before);
  });

  it('never misses a step that ends while the plan is being asked', async () => {
    const jobId = await ledger.addJob({}, ['a', 'b']);
    const [a, b] = await ledger.claim(jobId, ['a', 'b']);
    await recordOutcomes(database, [outcome(a!, completed())]);
    const asked = Promise.withResolvers<undefined>();
    const recorded = Promise.withResolvers<undefined>();
    const advancing = advanceJob(database, jobId, async () => {
      asked.resolve(undefined);
      await Promise.race([recorded.promise, new Promise((resolve) => setTimeout(resolve, 100))]);
      return { kind: 'wait', steps: [], abandoned: [] };
    });
    await asked.promise;
    const recording = recordOutcomes(database, [outcome(b!, completed())]).finally(() =>
      recorded.resolve(undefined),
    );
    expect(await advancing).toMatchObject({ outcome: 'waiting' });
    // It was recorded after the advance, so it says that another one is due, and the reconciler knows too.
    expect(await recording).toMatchObject([{ accepted: true, mayAdvance: true }]);
    expect((await ledger.job(jobId))['wake_at']).not.toBeNull();
  });
});

describe('an advance of several jobs', () => {
  it('does to each what was decided for it, and answers in the order asked', async () => {
    const waits = await ledger.addJob({ priority: 'realtime' });
    const goesOn = await ledger.addJob({}, ['a', 'b']);
    const ends = await ledger.addJob({}, ['a']);
    const late = await ledger.addJob({ deadlineAt: Date.now() - 1_000 }, []);
    const stuck = await ledger.addJob();
    const over = await ledger.addJob();
    await complete(database, over);
    const decisions: Record<string, AdvanceDecision> = {
      [waits]: { kind: 'wait', steps: [newStep('x'), newStep('y')], abandoned: [] },
      [goesOn]: { kind: 'wait', steps: [newStep('x'), newStep('a')], abandoned: ['a'] },
      [ends]: { kind: 'finish', status: 'failed', output: null, error: { code: 'c', message: 'm' } },
      [stuck]: { kind: 'wait', steps: [], abandoned: [] },
    };
    const asked = [ends, 'job_unknown', late, waits, over, stuck, goesOn];
    const results = await advanceJobs(database, asked, async ({ jobId }) => decisions[jobId]!);
    expect(results.map((result) => result.finished?.status ?? result.outcome)).toEqual([
      'failed',
      'gone',
      'expired',
      'waiting',
      'gone',
      'failed',
      'waiting',
    ]);
    const of = (jobId: string) => results[asked.indexOf(jobId)]!;
    expect(of(waits)).toMatchObject({
      priority: 'realtime',
      events: [{ jobId: waits, type: 'job.started' }],
    });
    expect(of(waits).steps.map((step) => step.key)).toEqual(['x', 'y']);
    expect(of(goesOn)).toMatchObject({ steps: [{ key: 'x' }], abandoned: ['a'], events: [] });
    expect(of(ends).finished).toMatchObject({
      droppedSteps: 1,
      events: [{ jobId: ends, type: 'job.failed' }],
    });
    expect(await ledger.job(goesOn)).toMatchObject({ steps_known: 2, steps_open: 2 });
    expect(await ledger.step(ends, 'a')).toMatchObject({ status: 'cancelled' });
    expect(await checkLedger(database)).toEqual([]);
  });

  it('writes nothing for any of them when one plan throws', async () => {
    const [good, bad] = [await ledger.addJob(), await ledger.addJob()];
    const thrown = new Error('a plan with a mistake');
    const decide = async ({ jobId }: JobState): Promise<AdvanceDecision> => {
      if (jobId === bad) throw thrown;
      return { kind: 'wait', steps: [newStep('x')], abandoned: [] };
    };
    await expect(advanceJobs(database, [good, bad], decide)).rejects.toBe(thrown);
    expect(await ledger.job(good)).toMatchObject({ status: 'queued', steps_known: 0 });
  });
});

describe('the end of a job', () => {
  it('is one, however many end it at once', async () => {
    for (let round = 0; round < 15; round += 1) {
      const jobId = await ledger.addJob({}, ['a', 'b']);
      const [a, b] = await ledger.claim(jobId, ['a', 'b']);
      const ends = await Promise.all([
        complete(database, jobId).then((result) => result.finished),
        cancelJob(database, testTenant, jobId).then((result) => result!.finished),
        failJob(database, jobId, { code: 'worker_crashed', message: 'm' }),
        cancelJob(database, testTenant, jobId).then((result) => result!.finished),
        recordOutcomes(database, [outcome(a!, completed()), outcome(b!, failed())]).then(() => null),
      ]);
      expect(ends.filter((end) => end !== null)).toHaveLength(1);
    }
    expect(await checkLedger(database)).toEqual([]);
  });

  it('cannot be changed by any statement; erasing content is allowed', async () => {
    const jobId = await ledger.addJob();
    await complete(database, jobId);
    for (const change of [
      "status = 'failed'",
      "finished_at = NULL, status = 'queued'",
      "finished_at = now() + interval '1 second'",
    ]) {
      await expect(database.query(`UPDATE jobs SET ${change} WHERE id = $1`, [jobId])).rejects.toThrow(
        'terminal state cannot change',
      );
    }
    await database.query('UPDATE jobs SET output = NULL, status = status WHERE id = $1', [jobId]);
    await expect(
      database.query("UPDATE jobs SET status = 'completed' WHERE id = $1", [await ledger.addJob()]),
    ).rejects.toThrow('jobs_terminal');
  });

  it('tells what it leaves to do: the event, the webhooks, the steps that are wanted no more', async () => {
    const webhook = { url: 'https://example.com/', events: ['job.completed'] };
    const jobId = await ledger.addJob({ webhook }, ['a', 'b']);
    const { finished } = await complete(database, jobId, { text: '\u0000' });
    expect(finished).toMatchObject({ status: 'completed', type: 'call', droppedSteps: 2 });
    expect(finished!.events).toMatchObject([{ jobId, type: 'job.completed', sequence: 3, data: {} }]);
    expect(finished!.deliveryIds).toHaveLength(1);
    expect(finished!.seconds).toBeGreaterThanOrEqual(0);
    expect(await ledger.job(jobId)).toMatchObject({ output: { text: '\u0000' }, error: null, steps_open: 0 });
  });

  it('keeps the error of a job that failed, also in its last event', async () => {
    const jobId = await ledger.addJob();
    const error = { code: 'worker_crashed', message: 'm', step: 's' };
    await advance(database, jobId, { kind: 'finish', status: 'failed', output: null, error });
    expect(await ledger.job(jobId)).toMatchObject({ status: 'failed', error, output: null });
    expect((await findEvents(database, jobId, 1, 10)).at(-1)).toMatchObject({
      type: 'job.failed',
      data: { error },
    });
  });

  it('of another tenant’s job is out of reach', async () => {
    const jobId = await ledger.addJob();
    expect(await cancelJob(database, 'another-tenant', jobId)).toBeNull();
    expect(await ledger.job(jobId)).toMatchObject({ status: 'queued' });
  });
});
