import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { listSteps } from '../steps/list-steps.ts';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { newJob, testTenant } from '../testing/new-job.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, failed, outcome, pending } from '../testing/outcomes.ts';
import { acceptJobs } from './accept-jobs.ts';
import { cancelJob } from './cancel-job.ts';
import { eraseJob } from './erase-job.ts';
import { failJob } from './fail-job.ts';
import { findJob } from './find-job.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const SECRET = 'SECRET-CONTENT';
const content = { plan: { type: 'call', prompt: SECRET }, input: SECRET, params: { a: SECRET } };
const secretError = { code: 'provider_bad_answer', message: SECRET };

/** Every row that the ledger has about a job, as text. */
async function everythingAbout(jobId: string): Promise<string> {
  const tables = {
    jobs: 'id',
    steps: 'job_id',
    attempts: 'job_id',
    job_events: 'job_id',
    usage: 'job_id',
    webhook_deliveries: 'job_id',
  };
  const rows = await Promise.all(
    Object.entries(tables).map(([table, column]) =>
      database.query(`SELECT * FROM ${table} WHERE ${column} = $1`, [jobId]),
    ),
  );
  return JSON.stringify(rows);
}

describe('erasing a job', () => {
  it('takes away what it was about, everywhere, and keeps what it cost', async () => {
    const jobId = await ledger.addJob({ content, metadata: { user: SECRET } }, ['a', 'b', 'c']);
    const [a, b, c] = [
      await ledger.send(jobId, 'a'),
      await ledger.send(jobId, 'b'),
      await ledger.send(jobId, 'c'),
    ];
    const bad = attemptEnd(1, { status: 'failed', error: secretError });
    await recordOutcomes(database, [
      outcome(a.step, completed({ text: SECRET }), attemptEnd(1, { usage: billed(5) })),
      outcome(b.step, failed(secretError), bad),
      outcome(c.step, pending({ repair: { answer: SECRET, feedback: SECRET, fingerprint: 'f' } }), bad),
    ]);
    await complete(database, jobId, SECRET);
    expect(await everythingAbout(jobId)).toContain(SECRET);
    expect(await eraseJob(database, testTenant, jobId)).toBe('erased');
    expect(await everythingAbout(jobId)).not.toContain(SECRET);
    expect(await findJob(database, testTenant, jobId)).toMatchObject({
      status: 'completed',
      output: null,
      metadata: {},
      costMicroUsd: 5,
      erasedAt: expect.any(Number) as number,
    });
    const { steps } = await listSteps(database, { tenantId: testTenant, jobId, after: null, limit: 10 });
    expect(steps.map((step) => [step.key, step.status, step.output])).toEqual([
      ['a', 'completed', null],
      ['b', 'failed', null],
      ['c', 'cancelled', null],
    ]);
  });

  it('keeps the code of its error and the first time of erasing', async () => {
    const jobId = await ledger.addJob({ content });
    await failJob(database, jobId, { code: 'worker_crashed', message: SECRET });
    await eraseJob(database, testTenant, jobId);
    const first = await findJob(database, testTenant, jobId);
    expect(first!.error).toEqual({ code: 'worker_crashed', message: 'erased' });
    expect(await eraseJob(database, testTenant, jobId)).toBe('erased');
    expect(await findJob(database, testTenant, jobId)).toEqual(first);
  });

  it('is not undone by a call that reports after it', async () => {
    const jobId = await ledger.addJob({ content }, ['a']);
    const { step } = await ledger.send(jobId, 'a');
    await cancelJob(database, testTenant, jobId);
    await eraseJob(database, testTenant, jobId);
    const late = attemptEnd(1, { status: 'failed', error: secretError, usage: billed(7) });
    await recordOutcomes(database, [outcome(step, completed(SECRET), late)]);
    expect(await everythingAbout(jobId)).not.toContain(SECRET);
    expect(await findJob(database, testTenant, jobId)).toMatchObject({ costMicroUsd: 7 });
    const { steps } = await listSteps(database, { tenantId: testTenant, jobId, after: null, limit: 10 });
    expect(steps[0]!.attempts).toMatchObject([
      { status: 'failed', errorCode: 'provider_bad_answer', errorMessage: null },
    ]);
  });

  it('leaves the idempotency key taken', async () => {
    const job = newJob({ content });
    await acceptJobs(database, [job]);
    await complete(database, job.id);
    await eraseJob(database, testTenant, job.id);
    const again = newJob({ idempotencyKey: job.idempotencyKey });
    expect(await acceptJobs(database, [again])).toMatchObject([{ outcome: 'replayed', jobId: job.id }]);
  });

  it('is refused while the job is open, and answers `unknown` for what is not the tenant’s', async () => {
    const jobId = await ledger.addJob({ content });
    expect(await eraseJob(database, testTenant, jobId)).toBe('open');
    expect(await ledger.job(jobId)).toMatchObject({ content });
    await complete(database, jobId);
    expect(await eraseJob(database, 'another-tenant', jobId)).toBe('unknown');
    expect(await eraseJob(database, testTenant, 'job_unknown')).toBe('unknown');
  });
});
