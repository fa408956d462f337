import { cancelJob, updateTenant } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { findStuck } from '../../../../libs/ledger/src/testing/find-stuck.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { answered, mayPass, refusal } from './testing/scripted-vendor.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  expect(await findStuck(lane.ledger.database, 24 * 3_600_000)).toEqual([]);
  await lane.close();
});

const capped = () => lane.addJob(['call'], { maxCostMicroUsd: 1_000 });
const submit = async () => {
  await lane.collect();
  await lane.advance();
};
/** Until nobody hopes for more. */
async function lookLong(): Promise<void> {
  lane.dependencies.now = () => Date.now() + 11 * 60_000;
  for (let look = 0; look < 12; look += 1) await lane.advance();
}
async function forgetBatches(): Promise<void> {
  lane.vendor.batches = [];
  await lookLong();
}
async function loseResults(phase: 'completed' | 'expired' | 'failed'): Promise<void> {
  lane.vendor.end(phase);
  lane.vendor.breakAt = (at) => (at === 'result 0' ? refusal({ httpStatus: 404 }) : null);
  await lookLong();
}
const attemptsOf = (jobId: string) =>
  lane.ledger.database.query('SELECT status, error_code AS code FROM attempts WHERE job_id = $1', [jobId]);

/** What is known of a job of one call, of which a line was sent that nobody could read. */
async function expectMarked(jobId: string, reason: string): Promise<void> {
  expect(await lane.ledger.step(jobId, 'call')).toMatchObject({ ambiguous: true, ambiguous_calls: 1 });
  const job = await lane.ledger.job(jobId);
  expect(job).toMatchObject({ ambiguous_calls: 1, cost_micro_usd: 0 });
  expect(job['reserved_micro_usd']).toBeGreaterThan(0);
  expect(await attemptsOf(jobId)).toEqual([{ status: 'ambiguous', code: reason }]);
}

describe('a line that may have been billed', () => {
  it('is told when the vendor does not know its batch any more', async () => {
    const job = await capped();
    await submit();
    await forgetBatches();
    await expectMarked(job, 'batch_lost');
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ status: 'pending', lane: 'realtime' });
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', errored: 1, unbilled: 0 });
    expect(await lane.metric('batch_lines_total', { outcome: 'ambiguous' })).toBe(1);
    expect(await lane.metric('batch_lines_total', { outcome: 'unbilled' })).toBe(0);
    expect(await lane.metric('ambiguous_calls_total')).toBe(1);
  });

  it('is told when its batch completed without it, and goes into another one', async () => {
    const jobs = [await capped(), await capped()];
    await submit();
    const [, lost] = lane.vendor.batches[0]!.customIds;
    lane.vendor.answer = (customId) => (customId === lost ? null : answered(customId));
    lane.vendor.end();
    for (let look = 0; look < 6; look += 1) await lane.advance();
    const states = await Promise.all(jobs.map((job) => lane.ledger.step(job, 'call')));
    const at = states.findIndex((step) => step['status'] === 'collected');
    await expectMarked(jobs[at]!, 'batch_line_missing');
    expect(states[1 - at]).toMatchObject({ status: 'completed', ambiguous: false });
    // What it may have cost stays booked while it is sent again.
    const before = Number((await lane.ledger.job(jobs[at]!))['reserved_micro_usd']);
    await lane.collect();
    expect(await lane.ledger.job(jobs[at]!)).toMatchObject({ reserved_micro_usd: 2 * before });
  });

  it('is told when the results of its batch are gone, also if that expired', async () => {
    const job = await capped();
    await submit();
    await loseResults('expired');
    await expectMarked(job, 'batch_expired');
  });

  it('is told when the batch that was taken for its own ended without proof', async () => {
    const job = await capped();
    lane.vendor.keepsMetadata = false;
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'after-create' ? mayPass({ maybeBilled: true }) : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ certain: false });
    lane.vendor.answer = () => null;
    lane.vendor.end('expired');
    await lane.advance();
    await expectMarked(job, 'batch_expired');
  });

  it('is told of a job that was cancelled, and of a step that left before', async () => {
    const cancelled = await capped();
    const early = await lane.addJob(['call'], { maxCostMicroUsd: 1_000 }, { escapeAt: Date.now() + 1_000 });
    await submit();
    await cancelJob(lane.ledger.database, 'acme', cancelled);
    await lane.ledger.passTime(2_000);
    await lane.escape();
    await forgetBatches();
    await expectMarked(cancelled, 'batch_lost');
    await expectMarked(early, 'batch_lost');
    expect(await lane.ledger.step(cancelled, 'call')).toMatchObject({ status: 'cancelled' });
    expect(await lane.ledger.step(early, 'call')).toMatchObject({ status: 'pending', fence: 2 });
  });

  it('is left to a person where the tenant wants to be asked', async () => {
    await updateTenant(lane.ledger.database, 'acme', { ambiguousPolicy: 'hold' });
    const job = await capped();
    await submit();
    lane.vendor.answer = () => null;
    lane.vendor.end();
    for (let look = 0; look < 6; look += 1) await lane.advance();
    await expectMarked(job, 'batch_line_missing');
    expect(lane.heard.events.map((event) => event.type)).not.toContain('step.retried');
    // The worker that holds it counts it.
    expect(await lane.metric('ambiguous_calls_total')).toBe(0);
    const [claimed] = await lane.ledger.claim(job, ['call']);
    expect(claimed).toMatchObject({ lostAnswer: true, ambiguousPolicy: 'hold', lane: 'realtime' });
    await expectMarked(job, 'batch_line_missing');
  });
});

describe('a line that was not billed', () => {
  for (const phase of ['failed', 'expired', 'cancelled'] as const) {
    it(`is not marked when its batch ${phase === 'cancelled' ? 'was ' : ''}${phase}`, async () => {
      const job = await capped();
      await submit();
      lane.vendor.answer = () => null;
      lane.vendor.end(phase);
      await lane.advance();
      expect(await lane.ledger.step(job, 'call')).toMatchObject({ ambiguous: false, ambiguous_calls: 0 });
      expect(await lane.ledger.job(job)).toMatchObject({ ambiguous_calls: 0, reserved_micro_usd: 0 });
      expect(await attemptsOf(job)).toEqual([{ status: 'interrupted', code: `batch_${phase}` }]);
      expect(await lane.metric('batch_lines_total', { outcome: 'unbilled' })).toBe(1);
      expect(await lane.metric('ambiguous_calls_total')).toBe(0);
    });
  }

  it('is not marked either when its batch failed and has no results to be had', async () => {
    const job = await capped();
    await submit();
    await loseResults('failed');
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ ambiguous: false });
    expect(await lane.ledger.job(job)).toMatchObject({ reserved_micro_usd: 0 });
  });
});
