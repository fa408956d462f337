import { findJob } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { answered as answerOf } from './testing/scripted-vendor.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

const keys = (count: number) => Array.from({ length: count }, (_, index) => `map[${index}]`);
/** The vendor shows these counts, and is looked at. */
async function look(completed: number, failed = 0): Promise<void> {
  const [batch] = lane.vendor.batches;
  batch!.shown = {
    ...batch!.shown,
    phase: 'in_progress',
    counts: { total: batch!.customIds.length, completed, failed },
  };
  await lane.advance();
}
const answered = async (jobId: string) => (await findJob(lane.ledger.database, 'acme', jobId))?.stepsAnswered;
const progressOf = (jobId: string) =>
  lane.ledger.database.query<{ data: Record<string, unknown> }>(
    "SELECT data FROM job_events WHERE job_id = $1 AND type = 'job.progress' ORDER BY sequence",
    [jobId],
  );
const published = () =>
  lane.heard.events
    .filter((event) => event.type === 'job.progress')
    .map((event) => event.data['steps_answered']);

describe('the counts of a running batch', () => {
  it('are the progress of the job whose lines it holds, told to those who poll and to those who listen', async () => {
    const job = await lane.addJob(keys(10));
    await lane.collect();
    await lane.advance();
    expect(await answered(job)).toBe(0);
    await look(4);
    expect(await answered(job)).toBe(4);
    await look(4);
    await look(7, 1);
    expect(await answered(job)).toBe(7);
    expect((await progressOf(job)).map(({ data }) => data)).toEqual([
      { steps_done: 0, steps_known: 10, steps_answered: 4 },
      { steps_done: 0, steps_known: 10, steps_answered: 7 },
    ]);
    expect(published()).toEqual([4, 7]);
  });

  it('never let it go back, neither when the vendor counts less nor while results are recorded', async () => {
    const job = await lane.addJob(keys(10));
    await lane.collect();
    await lane.advance();
    await look(9);
    await look(3);
    expect(await answered(job)).toBe(9);
    // One line is lost: the answers that are there are fewer than what was counted.
    lane.vendor.answer = (customId) =>
      customId.endsWith('_3') || customId.endsWith('_4')
        ? { customId, kind: 'unbilled', reason: 'expired' }
        : answerOf(customId);
    lane.vendor.end('expired');
    await lane.advance();
    expect(await findJob(lane.ledger.database, 'acme', job)).toMatchObject({
      stepsDone: 8,
      stepsAnswered: 9,
    });
    const told = (await progressOf(job)).map(({ data }) => Number(data['steps_answered']));
    expect(told).toEqual(told.toSorted((a, b) => a - b));
  });

  it('say of a job no more than must be its own in a batch that it shares', async () => {
    const [large, small, single] = [
      await lane.addJob(keys(8)),
      await lane.addJob(keys(3)),
      await lane.addJob(),
    ];
    await lane.collect();
    await lane.advance();
    expect(lane.vendor.batches[0]!.customIds).toHaveLength(12);
    const all = () => Promise.all([large, small, single].map(answered));
    await look(4);
    expect(await all()).toEqual([0, 0, 0]);
    await look(6);
    expect(await all()).toEqual([2, 0, 0]);
    await look(11);
    expect(await all()).toEqual([7, 2, 0]);
  });

  it('leave out steps that have left the batch, however much is counted', async () => {
    const job = await lane.addJob(keys(4));
    await lane.collect();
    await lane.advance();
    await lane.ledger.database.query(
      "UPDATE steps SET escape_at = now() - interval '1 second' WHERE key IN ('map[0]', 'map[1]')",
    );
    await lane.escape();
    await look(4);
    expect(await answered(job)).toBe(2);
  });

  it('of a batch that may be somebody else’s say nothing', async () => {
    const job = await lane.addJob(keys(4));
    await lane.collect();
    await lane.advance();
    await lane.ledger.database.query('UPDATE provider_batches SET certain = false');
    await look(3);
    expect(await answered(job)).toBe(0);
  });
});
