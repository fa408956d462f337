import { advanceJob, cancelJob, createKnownDurations } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane, target } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { refusal } from './testing/scripted-vendor.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

const statusOf = async (jobId: string, key = 'call') => (await lane.ledger.step(jobId, key))['status'];

/** Somebody stands still with the job's row locked while `work` is done. */
async function whileHeld(jobId: string, work: () => Promise<void>): Promise<void> {
  await lane.ledger.database.transaction(async (transaction) => {
    await transaction.query('SELECT id FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [jobId]);
    await work();
  });
}
const makeLate = () => lane.ledger.database.query("UPDATE steps SET escape_at = now() - interval '1 second'");

describe('a job that somebody stands still with', () => {
  it('keeps no step of another job from leaving its batch, and its own leaves later', async () => {
    const [held, free] = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    await lane.advance();
    await makeLate();
    await whileHeld(held, () => lane.escape());
    expect(await statusOf(free)).toBe('pending');
    expect(await statusOf(held)).toBe('sent');
    await lane.escape();
    expect(await statusOf(held)).toBe('pending');
  });

  it('keeps the lines of no other job in a batch that the vendor refused, and its own come back later', async () => {
    const [held, free] = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? refusal() : null);
    await whileHeld(held, () => lane.advance());
    expect(await statusOf(free)).toBe('pending');
    expect(await statusOf(held)).toBe('sent');
    expect((await lane.batches())[0]).toMatchObject({ status: 'submitting', handles: {} });
    for (let look = 0; look < 3; look += 1) await lane.advance();
    expect(await statusOf(held)).toBe('pending');
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'refused' });
    expect(lane.vendor.batches).toEqual([]);
  });

  it('keeps a batch that failed from ending before its own lines are given back', async () => {
    const [held, free] = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    await lane.advance();
    lane.vendor.answer = () => null;
    lane.vendor.end('failed');
    await whileHeld(held, () => lane.advance());
    expect(await statusOf(free)).toBe('collected');
    expect((await lane.batches())[0]).toMatchObject({ status: 'reading' });
    await lane.advance();
    expect(await statusOf(held)).toBe('collected');
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'failed' });
  });

  it('keeps its batch from being sent with a line of it that nothing waits for', async () => {
    const [held] = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    await cancelJob(lane.ledger.database, 'acme', held);
    await whileHeld(held, () => lane.advance());
    expect(lane.vendor.batches).toEqual([]);
    await lane.advance();
    expect(lane.vendor.batches[0]!.customIds).toHaveLength(1);
  });
});

describe('a step that somebody stands still with', () => {
  it('keeps nobody busy while it cannot ride in a batch, and leaves the lane later', async () => {
    const job = await lane.addJob();
    lane.vendor.refuse = () => 'not in batches';
    let looks = 0;
    const { database } = lane.dependencies;
    lane.dependencies.database = {
      ...database,
      query(text, values) {
        looks += 1;
        if (looks > 100) throw new Error('the collector goes round and round');
        return database.query(text, values);
      },
    };
    await database.transaction(async (transaction) => {
      await transaction.query('SELECT FROM steps WHERE job_id = $1 FOR NO KEY UPDATE', [job]);
      await lane.collect();
    });
    expect(await statusOf(job)).toBe('collected');
    await lane.collect();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'refused_in_batches',
    });
  });
});

describe('a limit of enqueued tokens', () => {
  it('holds for all targets of its pool together, also in one look', async () => {
    const pool = { name: 'openai', provider: 'openai', targets: [], limits: {} };
    await lane.addJob();
    await lane.collect();
    const tokens = Number((await lane.batches())[0]!['estimated_tokens']);
    lane.dependencies.pools = new Map([['openai', { ...pool, enqueuedBatchTokens: 2 * tokens }]]);
    await lane.addJob();
    const other = await lane.addJob();
    await lane.ledger.database.query("UPDATE steps SET target = 'openai/gpt-6-sol' WHERE job_id = $1", [
      other,
    ]);
    await lane.collect();
    const enqueued = (await lane.batches()).reduce(
      (sum, batch) => sum + Number(batch['estimated_tokens']),
      0,
    );
    expect(enqueued).toBe(2 * tokens);
  });
});

describe('the margin before a deadline', () => {
  it('grows with what escaped steps were seen to need, also where they came too late', async () => {
    const durations = createKnownDurations(lane.ledger.database, Date.now);
    const job = await lane.addJob(['call'], { deadlineAt: Date.now() + 3_600_000 });
    await durations.refresh();
    expect(durations.marginMs(target, 60_000)).toBe(60_000);
    await lane.ledger.database.query(
      `UPDATE steps SET status = 'pending', lane = 'realtime', wake_at = now(), escaped_at = now() - interval '5 minutes'`,
    );
    await lane.ledger.database.query("UPDATE jobs SET deadline_at = now() - interval '1 second'");
    await advanceJob(lane.ledger.database, job, () => Promise.reject(new Error('the job is late')));
    expect(await lane.ledger.job(job)).toMatchObject({ status: 'expired' });
    const later = createKnownDurations(lane.ledger.database, Date.now);
    await later.refresh();
    expect(later.marginMs(target, 60_000)).toBeCloseTo(600_000, -2);
    // What is known of escapes tells nothing of batches.
    expect(later.expectedMs(target)).toBe(20 * 3_600_000);
  });
});
