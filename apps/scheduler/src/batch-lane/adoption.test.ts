import { cancelJob, eraseJob, findLines } from '@millrace/ledger';
import type { ProviderCall } from '@millrace/providers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { answered, mayPass, refusal } from './testing/scripted-vendor.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
  lane.vendor.keepsMetadata = false;
  lane.vendor.provesByResults = true;
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

const statusOf = async (jobId: string) => (await lane.ledger.step(jobId, 'call'))['status'];
const lost = () => mayPass({ maybeBilled: true });
const vendorBatchOf = (ours: unknown) => lane.vendor.batches.find((batch) => batch.ours === ours)!;
function end(ours: unknown): void {
  const batch = vendorBatchOf(ours);
  batch.shown = { ...batch.shown, phase: 'completed', endedAt: Date.now() };
}

describe('batches of one size whose ids were lost together', () => {
  it('are each created once, also when each has taken the other’s', async () => {
    lane.dependencies.settings.maxLines = 3;
    const jobs: string[] = [];
    for (let count = 0; count < 6; count += 1) jobs.push(await lane.addJob());
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'after-create' ? lost() : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    expect(lane.vendor.batches).toHaveLength(2);
    // Whoever looks first takes the oldest: let that be the other one's.
    const [first, second] = await lane.batches();
    vendorBatchOf(second!['id']).shown.createdAt -= 500;
    await lane.advance();
    const held = new Map((await lane.batches()).map((batch) => [batch['id'], batch['provider_batch_id']]));
    const isSwapped = held.get(first!['id']) === vendorBatchOf(second!['id']).shown.providerBatchId;
    // What the first one holds ends, and is not its own; its own one is still running, and held by the other.
    end(isSwapped ? second!['id'] : first!['id']);
    for (let look = 0; look < 6; look += 1) await lane.advance();
    expect(isSwapped).toBe(true);
    expect(lane.vendor.batches).toHaveLength(2);
    end(first!['id']);
    for (let look = 0; look < 8; look += 1) await lane.advance();
    expect(lane.vendor.batches).toHaveLength(2);
    expect(await Promise.all(jobs.map(statusOf))).toEqual(jobs.map(() => 'completed'));
    const ended = await lane.batches();
    expect(ended.map((batch) => [batch['status'], batch['outcome'], batch['answered']])).toEqual([
      ['ended', 'completed', 3],
      ['ended', 'completed', 3],
    ]);
  });
});

describe('a batch whose id was lost', () => {
  it('is recognised by its size, also when some of its steps have left since', async () => {
    const jobs = [await lane.addJob(), await lane.addJob(), await lane.addJob()];
    await lane.collect();
    lane.vendor.keepsFiles = false;
    // The vendor had not listed it when it was looked for: it is to be tried again, and is broken off again.
    const find = lane.vendor.find.bind(lane.vendor);
    lane.vendor.breakAt = (at) => (at === 'after-create' ? lost() : null);
    await lane.advance();
    lane.vendor.find = async () => [];
    lane.vendor.breakAt = (at) => (at === 'before-create' ? mayPass() : null);
    await lane.ledger.database.query(
      "UPDATE steps SET escape_at = now() - interval '1 second' WHERE job_id = $1",
      [jobs[0]],
    );
    await lane.escape();
    await lane.advance();
    await lane.advance();
    lane.vendor.find = find;
    lane.vendor.breakAt = () => null;
    await lane.advance();
    await lane.advance();
    expect(lane.vendor.batches).toHaveLength(1);
    expect((await lane.batches())[0]).toMatchObject({ status: 'running', line_count: 3 });
  });

  it('keeps its lines in number when one of them was erased meanwhile', async () => {
    const jobs = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    const [batch] = await lane.batches();
    await cancelJob(lane.ledger.database, 'acme', jobs[0]!);
    await eraseJob(lane.ledger.database, 'acme', jobs[0]!);
    const lines = await findLines(lane.ledger.database, String(batch!['id']), -1, 10);
    expect(lines).toHaveLength(2);
  });

  for (const asksForVectors of [true, false]) {
    it(`asks for ${asksForVectors ? 'vectors' : 'text'} in every line of it also after one was erased`, async () => {
      const shape = asksForVectors ? 'embed.a-shape' : 'a shape';
      const [erased] = [
        await lane.addJob(['call'], {}, { shape }),
        await lane.addJob(['call'], {}, { shape }),
      ];
      if (asksForVectors) {
        const embedding = { dimensions: 256, encoding: 'base64', single: false };
        await lane.ledger.database.query(
          "UPDATE steps SET request = jsonb_set(request::jsonb, '{embedding}', $1::jsonb)",
          [JSON.stringify(embedding)],
        );
      }
      await lane.collect();
      lane.vendor.breakAt = (at) => (at === 'before-upload' ? mayPass() : null);
      await lane.advance();
      lane.vendor.breakAt = () => null;
      await cancelJob(lane.ledger.database, 'acme', erased);
      await eraseJob(lane.ledger.database, 'acme', erased);
      await lane.advance();
      await lane.advance();
      const bodies: ProviderCall[] = [];
      lane.vendor.answer = (customId, body) => {
        bodies.push(body as ProviderCall);
        return answered(customId);
      };
      lane.vendor.end();
      await lane.advance();
      expect(bodies).toHaveLength(2);
      expect(bodies.map((body) => body.embedding !== undefined)).toEqual([asksForVectors, asksForVectors]);
      for (const { messages } of bodies) expect(messages[0]!.content).not.toBe('');
      const cheap = bodies.find((body) => body.messages[0]!.content === 'erased');
      expect(cheap!.maxOutputTokens).toBeLessThanOrEqual(1);
      // What it cost is booked all the same.
      expect(await lane.ledger.job(erased)).toMatchObject({ cost_micro_usd: 18, calls: 1 });
      expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'completed' });
    });
  }

  it('is abandoned when nothing in it is wanted any more and the vendor has none', async () => {
    const job = await lane.addJob();
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? lost() : null);
    await lane.advance();
    await cancelJob(lane.ledger.database, 'acme', job);
    lane.vendor.breakAt = () => null;
    await lane.advance();
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'abandoned' });
    expect(lane.vendor.batches).toEqual([]);
    expect(lane.vendor.discardedFiles).toEqual(['file_1']);
  });
});

describe('two batches of one size of which only one was created', () => {
  /** The first one looks first and takes what is the second one's; that one may not create its own meanwhile. */
  async function confuse(): Promise<void> {
    lane.dependencies.settings.maxLines = 1;
    await lane.addJob();
    await lane.addJob();
    await lane.collect();
    let created = 0;
    lane.vendor.breakAt = (at) => {
      if (at === 'before-create') created += 1;
      return (at === 'before-create' && created === 1) || at === 'after-create' ? lost() : null;
    };
    await lane.advance();
    lane.vendor.breakAt = () => null;
    await lane.advance();
    const [taken] = lane.vendor.batches;
    const holder = await holderOf(taken!.shown.providerBatchId);
    expect(lane.vendor.batches).toHaveLength(1);
    expect(holder).toMatchObject({ certain: false });
    expect(holder!['id']).not.toBe(taken!.ours);
  }
  const holderOf = async (providerBatchId: string) =>
    (await lane.batches()).find((batch) => batch['provider_batch_id'] === providerBatchId);
  const ourBatch = async () =>
    (await lane.batches()).find((batch) => batch['id'] === lane.vendor.batches[0]!.ours)!;

  it('become each its own also when the holder ends without any proof', async () => {
    await confuse();
    const results = lane.vendor.results.bind(lane.vendor);
    lane.vendor.results = async function* () {};
    lane.vendor.end('expired');
    await lane.advance();
    lane.vendor.results = results;
    for (let look = 0; look < 3; look += 1) await lane.advance();
    expect(await ourBatch()).toMatchObject({ status: 'ended', provider_batch_id: 'vendor_1', answered: 1 });
  });

  it('keep nobody waiting without end where the holder never ends', async () => {
    await confuse();
    await lane.advance();
    expect(await ourBatch()).toMatchObject({ status: 'submitting' });
    const { id } = await ourBatch();
    lane.dependencies.now = () => Date.now() + 26 * 3_600_000;
    await lane.advance();
    const [step] = await lane.ledger.database.query(
      'SELECT s.status, s.lane_reason FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key WHERE a.batch_id = $1',
      [id],
    );
    expect(step).toMatchObject({ status: 'pending', lane_reason: 'batch_stuck' });
    expect(lane.vendor.batches).toHaveLength(1);
  });
});

describe('a batch that was not ours', () => {
  it('leaves nothing of its times and counts behind', async () => {
    await lane.addJob();
    await lane.collect();
    lane.vendor.provesByResults = false;
    lane.vendor.breakAt = (at) => (at === 'before-create' ? lost() : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    lane.vendor.batches.push({
      shown: {
        providerBatchId: 'foreign',
        phase: 'completed',
        counts: { total: 1, completed: 1, failed: 0 },
        createdAt: Date.now(),
        expiresAt: Date.now() + 1,
        endedAt: Date.now(),
        failure: null,
        handles: {},
        usage: { inputTokens: 7, outputTokens: 7 },
      },
      ours: 'of another application',
      customIds: ['ticket-1'],
    });
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'running', provider_batch_id: 'foreign' });
    await lane.advance();
    const nothing = Object.fromEntries(
      [
        'provider_batch_id',
        'submitted_at',
        'expires_at',
        'ended_at',
        'outcome',
        'counts_completed',
        'vendor_input_tokens',
      ].map((column) => [column, null]),
    );
    expect((await lane.batches())[0]).toMatchObject({ status: 'submitting', ...nothing });
  });
});

describe('a batch that the vendor refuses', () => {
  it('leaves no uploaded file there', async () => {
    const job = await lane.addJob();
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? refusal() : null);
    await lane.advance();
    expect(lane.vendor.discardedFiles).toEqual(['file_1']);
    expect(await statusOf(job)).toBe('pending');
  });

  it('after it may have been created is looked for before its steps go on', async () => {
    const job = await lane.addJob();
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'after-create' ? refusal({ maybeBilled: true }) : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    expect(await statusOf(job)).toBe('sent');
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'running', provider_batch_id: 'vendor_1' });
  });
});
