import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { acceptJobs } from '../jobs/accept-jobs.ts';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { newJob } from '../testing/new-job.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, outcome } from '../testing/outcomes.ts';
import { pruneJobs } from './prune.ts';

const DAY_MS = 86_400_000;
let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
  // The tests move the end of jobs into the past, which nobody else may.
  await database.query('ALTER TABLE jobs DISABLE TRIGGER jobs_terminal_is_final');
});
beforeEach(async () => {
  await database.query('DELETE FROM jobs');
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

/** A job that ended some days ago. */
async function addEnded(
  daysAgo: number,
  change: Parameters<typeof newJob>[0] = {},
  steps: string[] = [],
): Promise<string> {
  const jobId = await ledger.addJob(change, steps);
  for (const key of steps) {
    const { step, attempt } = await ledger.send(jobId, key);
    await recordOutcomes(database, [outcome(step, completed(), attemptEnd(attempt, { usage: billed(5) }))]);
  }
  await complete(database, jobId);
  await database.query("UPDATE jobs SET finished_at = now() - $2 * interval '1 day' WHERE id = $1", [
    jobId,
    daysAgo,
  ]);
  return jobId;
}
const left = async () =>
  (await database.query<{ id: string }>('SELECT id FROM jobs')).map((row) => row.id).toSorted();

describe('pruning', () => {
  it('takes jobs that ended longer ago than the retention, with all that hangs on them, and no others', async () => {
    const webhook = { url: 'https://example.com/', events: ['job.completed'] };
    const old = await addEnded(31, { webhook }, ['a', 'b']);
    await database.query("UPDATE webhook_deliveries SET status = 'delivered', wake_at = NULL");
    const recent = await addEnded(29);
    const open = await ledger.addJob();
    await database.query("UPDATE jobs SET created_at = now() - interval '90 days' WHERE id = $1", [open]);
    expect(await pruneJobs(database, 30 * DAY_MS, 100)).toBe(1);
    expect(await left()).toEqual([recent, open].toSorted());
    for (const table of ['steps', 'attempts', 'job_events', 'webhook_deliveries']) {
      expect(await database.query(`SELECT FROM ${table} WHERE job_id = $1`, [old]), table).toEqual([]);
    }
    expect(await database.query('SELECT FROM usage WHERE job_id = $1', [old])).toHaveLength(2);
  });

  it('frees the idempotency key', async () => {
    const first = newJob({ idempotencyKey: 'used before' });
    await addEnded(31, first);
    await pruneJobs(database, 30 * DAY_MS, 100);
    expect(await acceptJobs(database, [newJob({ idempotencyKey: 'used before' })])).toMatchObject([
      { outcome: 'accepted' },
    ]);
  });

  it('goes on until the limit, the oldest first', async () => {
    const jobs = [await addEnded(40), await addEnded(50), await addEnded(60)];
    expect(await pruneJobs(database, 30 * DAY_MS, 2)).toBe(2);
    expect(await left()).toEqual([jobs[0]]);
    expect(await pruneJobs(database, 30 * DAY_MS, 2)).toBe(1);
    expect(await pruneJobs(database, 30 * DAY_MS, 2)).toBe(0);
  });

  it('waits for webhooks that are still being tried', async () => {
    const jobId = await addEnded(31, { webhook: { url: 'https://example.com/', events: ['job.completed'] } });
    expect(await pruneJobs(database, 30 * DAY_MS, 100)).toBe(0);
    await database.query(
      "UPDATE webhook_deliveries SET status = 'exhausted', wake_at = NULL WHERE job_id = $1",
      [jobId],
    );
    expect(await pruneJobs(database, 30 * DAY_MS, 100)).toBe(1);
  });

  it('leaves a job alone that somebody has locked, and does not wait for it', async () => {
    const [busy] = [await addEnded(60), await addEnded(50)];
    await database.transaction(async (transaction) => {
      await transaction.query('SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [busy]);
      expect(await pruneJobs(database, 30 * DAY_MS, 100)).toBe(1);
    });
    expect(await left()).toEqual([busy]);
  });

  it('deletes in statements that stay small, however many steps the jobs have', async () => {
    const jobs = await Promise.all([1, 2, 3, 4].map(() => addEnded(40)));
    await database.query('UPDATE jobs SET steps_known = 10000');
    const sizes: number[] = [];
    const observed = {
      async query<Row>(text: string, values?: readonly unknown[]) {
        const rows = await database.query<Row>(text, values);
        sizes.push(rows.length);
        return rows;
      },
    };
    expect(await pruneJobs(observed, 30 * DAY_MS, 100)).toBe(jobs.length);
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2);
  });
});
