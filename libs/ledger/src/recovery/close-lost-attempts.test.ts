import { createTestDatabase, waitFor as waitUntil } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { checkLedger } from '../testing/check-ledger.ts';
import { openTestLedger, waitFor } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, outcome, pending } from '../testing/outcomes.ts';
import { closeLostAttempts } from './close-lost-attempts.ts';

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

const close = () => closeLostAttempts(ledger.database, 120_000, 100);
/** Gives a step up whose call is under way, longer ago than a worker may take to report of it. */
async function giveUpLongAgo(jobId: string, key: string): Promise<void> {
  await waitFor(ledger.database, jobId, [], [key]);
  await ledger.database.query(
    "UPDATE steps SET finished_at = now() - interval '1 hour' WHERE job_id = $1 AND key = $2",
    [jobId, key],
  );
  await ledger.database.query(
    "UPDATE attempts SET sent_at = now() - interval '1 hour' WHERE job_id = $1 AND step_key = $2",
    [jobId, key],
  );
}
const statusOf = async (jobId: string) => {
  const rows = await ledger.database.query<{ status: string }>(
    'SELECT status FROM attempts WHERE job_id = $1 ORDER BY step_key, number',
    [jobId],
  );
  return rows.map((row) => row.status);
};

describe('an attempt of a step that was given up, whose worker never reported', () => {
  it('becomes ambiguous, and is counted alike on its step and its job, once', async () => {
    const jobId = await ledger.addJob({}, ['lost', 'open']);
    await ledger.send(jobId, 'lost');
    expect(await close()).toBe(0);
    await giveUpLongAgo(jobId, 'lost');
    expect(await close()).toBe(1);
    expect(await close()).toBe(0);
    expect(await statusOf(jobId)).toEqual(['ambiguous']);
    expect(await ledger.step(jobId, 'lost')).toMatchObject({ ambiguous: true, ambiguous_calls: 1 });
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 1 });
    expect(await checkLedger(ledger.database)).toEqual([]);
  });

  it('keeps the end that its worker reports while the sweep waits for the job', async () => {
    const jobId = await ledger.addJob({}, ['late', 'open']);
    await ledger.send(jobId, 'late');
    await giveUpLongAgo(jobId, 'late');
    let closing: Promise<number> = Promise.resolve(-1);
    await ledger.database.transaction(async (transaction) => {
      await transaction.query('SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [jobId]);
      closing = close();
      await waitUntil(async () => (await waiting()) > 0, { what: 'the sweep to wait for the job' });
      await transaction.query("UPDATE attempts SET status = 'cancelled' WHERE job_id = $1", [jobId]);
    });
    expect(await closing).toBe(0);
    expect(await statusOf(jobId)).toEqual(['cancelled']);
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 0 });
  });

  it('gives back what it had booked and no more when its worker reports after all', async () => {
    const jobId = await ledger.addJob({ maxCostMicroUsd: 100 }, ['lost', 'given up', 'open']);
    await ledger.send(jobId, 'lost', 40);
    await ledger.passTime(20_000);
    const again = await ledger.send(jobId, 'lost', 20);
    const answered = attemptEnd(again.attempt, { usage: billed(10) });
    await recordOutcomes(ledger.database, [outcome(again.step, completed(), answered)]);
    const { step, attempt } = await ledger.send(jobId, 'given up', 30);
    await giveUpLongAgo(jobId, 'given up');
    expect(await close()).toBe(1);
    expect(await ledger.job(jobId)).toMatchObject({ cost_micro_usd: 10, reserved_micro_usd: 70 });
    const report = attemptEnd(attempt, { status: 'cancelled', usage: billed(20) });
    await recordOutcomes(ledger.database, [outcome(step, pending(), report)]);
    // The 40 are those of the call that was lost: nobody knows what it cost.
    expect(await ledger.job(jobId)).toMatchObject({ cost_micro_usd: 30, reserved_micro_usd: 40 });
    expect(await statusOf(jobId)).toEqual(['cancelled', 'ambiguous', 'completed']);
    expect(await checkLedger(ledger.database)).toEqual([]);
  });
});

async function waiting(): Promise<number> {
  const [row] = await ledger.database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return row!.count;
}
