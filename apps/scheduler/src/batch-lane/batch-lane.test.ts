import { cancelJob } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { findStuck } from '../../../../libs/ledger/src/testing/find-stuck.ts';
import { openTestLane, target } from './testing/open-test-lane.ts';
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

/** Ids of `count` jobs with one collected step each. */
async function addJobs(count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const next = Array.from({ length: Math.min(20, count - ids.length) }, () => lane.addJob());
    ids.push(...(await Promise.all(next)));
  }
  return ids;
}
const statusOf = async (jobId: string, key = 'call') => (await lane.ledger.step(jobId, key))['status'];
/** Collects, submits, ends and reads. */
async function throughBatch(): Promise<void> {
  await lane.collect();
  await lane.advance();
  lane.vendor.end();
  await lane.advance();
}

describe('a batch', () => {
  it('answers all its steps at half the price and wakes their jobs', async () => {
    const jobs = await addJobs(450);
    await throughBatch();
    expect(lane.vendor.batches).toHaveLength(1);
    expect(new Set(lane.vendor.batches[0]!.customIds).size).toBe(450);
    expect(lane.heard.jobs).toEqual(new Set(jobs));
    const step = await lane.ledger.step(jobs[0]!, 'call');
    expect(step).toMatchObject({
      status: 'completed',
      lane: 'batch',
      batch_id: lane.vendor.batches[0]!.ours,
    });
    // 100 × 0.10 + 50 × 0.50 USD per million, halved.
    expect((await lane.ledger.job(jobs[0]!))['cost_micro_usd']).toBe(18);
    const [batch] = await lane.batches();
    expect(batch).toMatchObject({ status: 'ended', outcome: 'completed', line_count: 450, answered: 450 });
    expect(batch!['realtime_micro_usd']).toBe(450 * 35);
    expect(lane.vendor.discarded).toEqual(['vendor_1']);
    expect(await lane.metric('batch_lines_total', { outcome: 'complete' })).toBe(450);
    expect(lane.heard.errors).toEqual([]);
  });

  it('lets one bad line hurt only itself', async () => {
    const jobs = await addJobs(20);
    const bad = new Set<string>();
    lane.vendor.answer = (customId) => {
      if (!customId.endsWith('7')) return answered(customId);
      bad.add(customId);
      return { customId, kind: 'error', error: refusal() };
    };
    await throughBatch();
    const states = await Promise.all(jobs.map((id) => statusOf(id)));
    expect(bad.size).toBe(2);
    expect(states.filter((state) => state === 'failed')).toHaveLength(2);
    expect(states.filter((state) => state === 'completed')).toHaveLength(18);
  });

  it('sends what has to be done again to realtime', async () => {
    const [job] = await addJobs(1);
    lane.vendor.answer = (customId) => ({ customId, kind: 'error', error: mayPass() });
    await throughBatch();
    expect(await lane.ledger.step(job!, 'call')).toMatchObject({
      status: 'pending',
      lane: 'realtime',
      lane_reason: 'again_after_batch',
      batch_id: null,
      attempts: 1,
    });
    expect(lane.heard.steps).toEqual([`${job} call`]);
  });

  it('waits for more steps until its oldest has waited long enough', async () => {
    lane.dependencies.settings.collectAgeMs = 60_000;
    await addJobs(3);
    await lane.collect();
    expect(await lane.batches()).toHaveLength(0);
    await lane.ledger.database.query("UPDATE steps SET created_at = created_at - interval '1 minute'");
    await lane.collect();
    expect(await lane.batches()).toMatchObject([{ line_count: 3 }]);
  });

  it('is submitted at once when it is full, and leaves the rest for the next', async () => {
    lane.dependencies.settings.collectAgeMs = 60_000;
    lane.dependencies.settings.maxLines = 10;
    await addJobs(25);
    await lane.collect();
    expect((await lane.batches()).map((batch) => batch['line_count'])).toEqual([10, 10, 5]);
  });

  it('is not taken over by workers while its steps wait for it', async () => {
    const [job] = await addJobs(1);
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(3_600_000);
    await expect(lane.ledger.claim(job!, ['call'])).rejects.toThrow();
    expect(await statusOf(job!)).toBe('sent');
  });
});

describe('a crash', () => {
  for (const point of ['before-upload', 'after-upload', 'before-create', 'after-create']) {
    for (const keepsMetadata of [true, false]) {
      it(`${point} makes no second batch, ${keepsMetadata ? 'with' : 'without'} the vendor’s metadata`, async () => {
        const jobs = await addJobs(30);
        lane.vendor.keepsMetadata = keepsMetadata;
        await lane.collect();
        let broken = 0;
        lane.vendor.breakAt = (at) =>
          at === point && (broken += 1) === 1 ? mayPass({ maybeBilled: true }) : null;
        await lane.advance();
        expect(broken).toBe(1);
        await lane.advance();
        await lane.advance();
        lane.vendor.end();
        await lane.advance();
        expect(lane.vendor.batches).toHaveLength(1);
        expect(lane.heard.jobs.size).toBe(30);
        expect(await Promise.all(jobs.map((id) => statusOf(id)))).toEqual(jobs.map(() => 'completed'));
      });
    }
  }

  it('in the middle of reading loses no line and counts none twice', async () => {
    const jobs = await addJobs(700);
    await lane.collect();
    await lane.advance();
    lane.vendor.end();
    let broken = 0;
    lane.vendor.breakAt = (at) => (at === 'result 450' && (broken += 1) === 1 ? mayPass() : null);
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'reading' });
    const [{ recorded } = { recorded: 0 }] = await lane.ledger.database.query<{ recorded: number }>(
      "SELECT count(*)::int AS recorded FROM steps WHERE status = 'completed'",
    );
    expect(recorded).toBe(400);
    await lane.advance();
    expect(await Promise.all(jobs.map((id) => statusOf(id)))).toEqual(jobs.map(() => 'completed'));
    expect((await lane.batches())[0]).toMatchObject({
      status: 'ended',
      answered: 700,
      cost_micro_usd: 700 * 18,
    });
    expect(await lane.metric('batch_lines_total', { outcome: 'complete' })).toBe(700);
  });

  it('while a batch is gathered leaves one that is submitted with what it has', async () => {
    const jobs = await addJobs(3);
    await lane.collect();
    await lane.ledger.database.query("UPDATE provider_batches SET status = 'gathering'");
    await lane.advance();
    await lane.advance();
    lane.vendor.end();
    await lane.advance();
    expect(await Promise.all(jobs.map((id) => statusOf(id)))).toEqual(jobs.map(() => 'completed'));
  });

  it('before anything was bound leaves a batch that is given up', async () => {
    await addJobs(3);
    await lane.collect();
    await lane.advance();
    await lane.ledger.database.query(
      "INSERT INTO provider_batches (id, provider, model, target) VALUES ('pb_empty', 'openai', 'gpt-6-luna', $1)",
      [target],
    );
    await lane.advance();
    const batches = await lane.batches();
    expect(batches.find((batch) => batch['id'] === 'pb_empty')).toMatchObject({
      status: 'ended',
      outcome: 'abandoned',
    });
  });
});

describe('a batch that may be somebody else’s', () => {
  it('is given up when its results turn out not to be ours, and ours is created', async () => {
    const [job] = await addJobs(1);
    lane.vendor.keepsMetadata = false;
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? mayPass({ maybeBilled: true }) : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    // Of the same size, at the same time.
    lane.vendor.batches.push({
      shown: {
        providerBatchId: 'foreign',
        phase: 'completed',
        counts: null,
        createdAt: Date.now(),
        expiresAt: null,
        endedAt: Date.now(),
        failure: null,
        handles: {},
        usage: null,
      },
      ours: 'of another application',
      customIds: ['ticket-1'],
    });
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ provider_batch_id: 'foreign', certain: false });
    await lane.advance();
    lane.vendor.batches = lane.vendor.batches.filter((batch) => batch.ours !== 'of another application');
    await lane.advance();
    await lane.advance();
    lane.vendor.end();
    await lane.advance();
    expect(await statusOf(job!)).toBe('completed');
    expect(lane.vendor.batches).toHaveLength(1);
  });

  it('that the vendor has not known for a quarter of an hour gives its steps to realtime', async () => {
    const [job] = await addJobs(1);
    await lane.collect();
    await lane.advance();
    lane.vendor.batches = [];
    for (let look = 0; look < 11; look += 1) await lane.advance();
    // Just submitted, it may not be there yet, however often it is asked for.
    expect(await lane.ledger.step(job!, 'call')).toMatchObject({ status: 'sent' });
    lane.dependencies.now = () => Date.now() + 11 * 60_000;
    await lane.advance();
    expect(await lane.ledger.step(job!, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'batch_lost',
    });
  });

  it('that the vendor does not know gives nothing back before the tenth failure in a row', async () => {
    const [job] = await addJobs(1);
    await lane.collect();
    await lane.advance();
    lane.vendor.batches = [];
    lane.dependencies.now = () => Date.now() + 11 * 60_000;
    for (let look = 0; look < 10; look += 1) await lane.advance();
    expect(await lane.ledger.step(job!, 'call')).toMatchObject({ status: 'sent' });
    await lane.advance();
    expect(await lane.ledger.step(job!, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'batch_lost',
    });
  });
});

describe('the bill', () => {
  it('is compared with the vendor’s sums, and a difference is counted', async () => {
    await addJobs(2);
    await lane.collect();
    await lane.advance();
    lane.vendor.batches[0]!.shown.usage = { inputTokens: 200, outputTokens: 100 };
    lane.vendor.end();
    await lane.advance();
    expect(await lane.metric('batch_usage_mismatches_total')).toBe(0);
    await addJobs(2);
    await lane.collect();
    await lane.advance();
    lane.vendor.batches[1]!.shown.usage = { inputTokens: 200, outputTokens: 101 };
    lane.vendor.end();
    await lane.advance();
    expect(await lane.metric('batch_usage_mismatches_total')).toBe(1);
    expect(await lane.metric('batch_saved_usd_total')).toBeCloseTo((4 * (35 - 18)) / 1e6, 9);
  });

  it('counts as saved what the answers that were used have saved, less what was paid for the others', async () => {
    const [late, cancelled] = [
      await lane.addJob(['call'], {}, { escapeAt: Date.now() + 3_600_000 }),
      await lane.addJob(),
    ];
    await addJobs(5);
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(3_600_001);
    await lane.escape();
    await cancelJob(lane.ledger.database, 'acme', cancelled);
    lane.vendor.end();
    await lane.advance();
    expect(await lane.ledger.step(late, 'call')).toMatchObject({ status: 'pending', lane: 'realtime' });
    expect(await lane.metric('batch_saved_usd_total')).toBeCloseTo((5 * (35 - 18) - 2 * 18) / 1e6, 9);
    expect((await lane.batches())[0]).toMatchObject({ cost_micro_usd: 7 * 18, realtime_micro_usd: 7 * 35 });
  });

  it('of a batch whose answers came too late saves nothing', async () => {
    await lane.addJob(['call', 'other'], {}, { escapeAt: Date.now() + 3_600_000 });
    await lane.addJob();
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(3_600_001);
    await lane.escape();
    lane.vendor.end();
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', paid_twice: 2 });
    expect(await lane.metric('batch_saved_usd_total')).toBe(0);
  });
});

describe('a limit of enqueued tokens', () => {
  it('keeps steps collected that would not fit, until there is room or their deadline comes near', async () => {
    const pool = { name: 'openai', provider: 'openai', targets: [], limits: {}, enqueuedBatchTokens: 30 };
    lane.dependencies.pools = new Map([['openai', pool]]);
    const jobs = await addJobs(30);
    await lane.collect();
    const states = async () => Promise.all(jobs.map((id) => statusOf(id)));
    const bound = (await states()).filter((state) => state === 'sent').length;
    expect(bound).toBeGreaterThan(0);
    expect(bound).toBeLessThan(30);
    await lane.advance();
    await lane.collect();
    expect((await states()).filter((state) => state === 'sent')).toHaveLength(bound);
    lane.vendor.end();
    await lane.advance();
    await lane.collect();
    expect((await states()).filter((state) => state === 'collected').length).toBeLessThan(30 - bound);
  });
});

describe('an escape', () => {
  const late = (ms: number) => ({ escapeAt: Date.now() + ms });

  it('takes collected steps to realtime when their time has come', async () => {
    lane.dependencies.settings.collectAgeMs = 3_600_000;
    const job = await lane.addJob(['call'], {}, late(86_400_000));
    await lane.escape();
    expect(await statusOf(job)).toBe('collected');
    await lane.ledger.passTime(86_400_001);
    await lane.escape();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ status: 'pending', lane: 'realtime' });
    expect(lane.heard.steps).toEqual([`${job} call`]);
  });

  it('takes steps out of a stuck batch, cancels it, and drops and counts the late answer', async () => {
    const early = await lane.addJob(['call'], { maxCostMicroUsd: 1_000 }, late(1_000));
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(2_000);
    await lane.escape();
    expect(lane.heard.steps).toEqual([`${early} call`]);
    await lane.advance();
    expect(lane.vendor.cancelled).toEqual(['vendor_1']);
    await lane.ledger.send(early, 'call', 30);
    lane.vendor.end('cancelled');
    await lane.advance();
    const job = await lane.ledger.job(early);
    expect(job).toMatchObject({ cost_micro_usd: 18, reserved_micro_usd: 30, calls: 2 });
    expect(await statusOf(early)).toBe('sent');
    expect((await lane.batches())[0]).toMatchObject({
      status: 'ended',
      paid_twice: 1,
      paid_twice_micro_usd: 18,
    });
    expect(await lane.metric('batch_paid_twice_total')).toBe(1);
  });

  it('pays for its place in realtime from wherever it comes, and waits there from now on', async () => {
    lane.dependencies.settings.collectAgeMs = 3_600_000;
    await lane.addJob(['call'], {}, late(1_000));
    await lane.ledger.passTime(3_600_000);
    await lane.escape();
    const [bound] = [await lane.addJob(['call'], {}, late(4_000_000))];
    lane.dependencies.settings.collectAgeMs = 0;
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(4_000_001);
    await lane.escape();
    const again = await lane.addJob();
    await lane.collect();
    await lane.advance();
    lane.vendor.answer = (customId) => ({ customId, kind: 'error', error: mayPass() });
    lane.vendor.end();
    await lane.advance();
    expect(lane.heard.charges).toHaveLength(3);
    for (const charge of lane.heard.charges) {
      expect(charge).toMatchObject({ tier: 'standard', aged: false });
      expect(charge!.tenantId).not.toBe('');
      expect(charge!.tokens).toBeGreaterThan(0);
    }
    for (const jobId of [bound, again]) {
      const waited = await lane.ledger.database.query<{ ms: number }>(
        'SELECT extract(epoch FROM now() - class_since)::float8 * 1000 AS ms FROM steps WHERE job_id = $1',
        [jobId],
      );
      expect(waited[0]!.ms).toBeLessThan(60_000);
    }
  });

  it('leaves the other steps of the batch in it', async () => {
    const early = await lane.addJob(['call'], {}, late(1_000));
    const patient = await lane.addJob();
    await lane.collect();
    await lane.advance();
    await lane.ledger.passTime(2_000);
    await lane.escape();
    await lane.advance();
    expect(lane.vendor.cancelled).toEqual([]);
    lane.vendor.end();
    await lane.advance();
    expect(await statusOf(early)).toBe('pending');
    expect(await statusOf(patient)).toBe('completed');
  });

  it('before anything was sent leaves the line out', async () => {
    const early = await lane.addJob(['call'], {}, late(1_000));
    await lane.addJob();
    await lane.collect();
    await lane.ledger.passTime(2_000);
    await lane.escape();
    await lane.advance();
    expect(lane.vendor.batches[0]!.customIds).toHaveLength(1);
    expect((await lane.batches())[0]).toMatchObject({ line_count: 1 });
    expect(await statusOf(early)).toBe('pending');
  });
});

describe('a batch that ends badly', () => {
  it('gives its lines back to the lane once, then to realtime', async () => {
    const [job] = await addJobs(1);
    for (const state of ['collected', 'pending']) {
      await lane.collect();
      await lane.advance();
      lane.vendor.end('failed');
      lane.vendor.answer = () => null;
      await lane.advance();
      expect(await statusOf(job!)).toBe(state);
    }
    expect((await lane.ledger.job(job!))['cost_micro_usd']).toBe(0);
    expect((await lane.batches()).map((batch) => batch['outcome'])).toEqual(['failed', 'failed']);
    expect(lane.heard.steps).toEqual([`${job} call`]);
  });

  it('keeps what it has answered before it expired', async () => {
    const jobs = await addJobs(10);
    lane.vendor.answer = (customId) =>
      customId.endsWith('3') ? { customId, kind: 'unbilled', reason: 'expired' } : answered(customId);
    await lane.collect();
    await lane.advance();
    lane.vendor.end('expired');
    await lane.advance();
    const states = await Promise.all(jobs.map((id) => statusOf(id)));
    expect(states.toSorted()).toEqual([
      ...Array<string>(1).fill('collected'),
      ...Array<string>(9).fill('completed'),
    ]);
  });

  it('gives back what it has booked on capped jobs', async () => {
    const job = await lane.addJob(['call'], { maxCostMicroUsd: 1_000 });
    await lane.collect();
    expect((await lane.ledger.job(job))['reserved_micro_usd']).toBeGreaterThan(0);
    lane.vendor.breakAt = (at) => (at === 'before-upload' ? refusal() : null);
    await lane.advance();
    expect(await lane.ledger.job(job)).toMatchObject({ reserved_micro_usd: 0 });
    expect(await lane.ledger.step(job, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'batch_refused',
    });
  });

  it('for want of room in the vendor’s queue lets its steps wait and try again', async () => {
    const [job] = await addJobs(1);
    for (let round = 0; round < 4; round += 1) {
      await lane.collect();
      await lane.advance();
      for (const batch of lane.vendor.batches) {
        batch.shown.failure = { code: 'token_limit_exceeded', message: 'too many tokens' };
      }
      lane.vendor.end('failed');
      lane.vendor.answer = () => null;
      await lane.advance();
      expect(await statusOf(job!)).toBe('collected');
      await lane.collect();
      await lane.ledger.passTime(61_000);
    }
    expect(lane.vendor.batches).toHaveLength(4);
  });
});

describe('a request of a new shape', () => {
  it('is tried once in realtime before many of its kind are submitted', async () => {
    lane.dependencies.settings.pilotFrom = 5;
    await addJobs(6);
    await lane.collect();
    expect(lane.heard.steps).toHaveLength(1);
    await lane.collect();
    expect(await lane.batches()).toHaveLength(0);
    const [pilot = ''] = lane.heard.steps;
    await lane.ledger.database.query(
      "UPDATE steps SET status = 'completed', finished_at = now(), wake_at = NULL, ordinal = 1 WHERE job_id = $1",
      [pilot.split(' ')[0]],
    );
    await lane.ledger.database.query(
      'UPDATE jobs SET steps_done = 1, steps_open = 0, last_ordinal = 1, wake_at = now() WHERE id = $1',
      [pilot.split(' ')[0]],
    );
    await lane.collect();
    expect(await lane.batches()).toMatchObject([{ line_count: 5 }]);
  });
});

describe('a cancelled job', () => {
  it('drops its collected step, and the answer of its bound one, which it still pays for', async () => {
    const [job] = await addJobs(1);
    await lane.collect();
    await lane.advance();
    const { cancelJob } = await import('@millrace/ledger');
    await cancelJob(lane.ledger.database, 'acme', job!);
    await lane.advance();
    expect(lane.vendor.cancelled).toEqual(['vendor_1']);
    lane.vendor.end();
    await lane.advance();
    expect(await lane.ledger.job(job!)).toMatchObject({ status: 'cancelled', cost_micro_usd: 18 });
    expect(await statusOf(job!)).toBe('cancelled');
  });
});
