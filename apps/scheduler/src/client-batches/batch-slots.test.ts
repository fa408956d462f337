import { PassThrough } from 'node:stream';
import type { BlobStore } from '@millrace/blobs';
import { findOpenClientBatches } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createBatchSlots } from './batch-slots.ts';
import type { BatchSlots } from './batch-slots.ts';
import { moveBatch } from './move-batch.ts';
import { chatLine, openBatchFixture } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const stalled: PassThrough[] = [];
const failures: { batch: string; retryMs: number }[] = [];
afterEach(async () => {
  await fixture.database.query(`UPDATE client_batches SET ended_at = now(), status = 'failed'`);
  failures.length = 0;
});

/** A store that accepts and then says nothing, for these files. */
function stallOn(fileIds: readonly string[]): BlobStore {
  const { blobs } = fixture;
  return {
    ...blobs,
    async read(key, fromByte) {
      if (!fileIds.includes(key)) return blobs.read(key, fromByte);
      const stream = new PassThrough();
      stalled.push(stream);
      return { bytes: 1, stream };
    },
  };
}

function openSlots(blobs: BlobStore, now = () => performance.now()): BatchSlots {
  return createBatchSlots({
    find: () => findOpenClientBatches(fixture.database, 100),
    move: (batch) => moveBatch(batch, { ...fixture.options, blobs }),
    mayGoOn: () => true,
    onFailure: (batch, _error, retryMs) => failures.push({ batch: batch.id, retryMs }),
    now,
  });
}

function endStalled(): void {
  for (const stream of stalled.splice(0)) stream.destroy(new Error('stood still'));
}

it('four batches that stand still do not hold up those behind them', async () => {
  const stuck: string[] = [];
  for (let made = 0; made < 4; made += 1) stuck.push(await fixture.create([chatLine('a')]));
  const quick = await fixture.create([chatLine('a'), chatLine('b')]);
  const files = await Promise.all(stuck.map(async (id) => (await fixture.batch(id)).inputFileId));
  const slots = openSlots(stallOn(files));
  await slots.look();
  expect(stalled.length).toBeLessThanOrEqual(4);
  await waitFor(
    async () => {
      await slots.look();
      return (await fixture.batch(quick)).expandedLines === 2;
    },
    { timeoutMs: 10_000, what: () => 'the quick batch to be jobs' },
  );
  for (const id of stuck) expect((await fixture.batch(id)).status).toBe('validating');
  // Each of them is read once: nobody begins it again while it stands.
  expect(stalled).toHaveLength(4);
  endStalled();
  await slots.settle();
  expect(failures.map(({ batch }) => batch).sort()).toEqual([...stuck].sort());
});

it('a batch that fails is tried again ever more rarely, and at once when it has gone on', async () => {
  const id = await fixture.create([chatLine('a')]);
  let clock = 0;
  let isAway = true;
  const blobs = {
    ...fixture.blobs,
    read: async (key: string, fromByte?: number) => (isAway ? null : fixture.blobs.read(key, fromByte)),
  };
  const slots = openSlots(blobs, () => clock);
  const tick = async (ms: number): Promise<void> => {
    clock += ms;
    await slots.look();
    await slots.settle();
  };
  await tick(0);
  for (let looks = 0; looks < 120; looks += 1) await tick(500);
  const waits = failures.filter(({ batch }) => batch === id).map(({ retryMs }) => retryMs);
  expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
  isAway = false;
  await tick(30_000);
  expect((await fixture.batch(id)).status).toBe('in_progress');
  isAway = true;
  await tick(0);
  expect(failures.at(-1)).toEqual({ batch: id, retryMs: 500 });
});

it('a tenant whose batches all stand still has no more than its share, and keeps nobody else out', async () => {
  const stuck: string[] = [];
  for (let made = 0; made < 9; made += 1) stuck.push(await fixture.create([chatLine('a')]));
  const files = await Promise.all(stuck.map(async (id) => (await fixture.batch(id)).inputFileId));
  const other = await fixture.create([chatLine('a')]);
  await fixture.database.query(`UPDATE client_batches SET tenant_id = 'small' WHERE id = $1`, [other]);
  const slots = openSlots(stallOn(files));
  const statusOfOther = async (): Promise<unknown> =>
    fixture.database.query('SELECT status FROM client_batches WHERE id = $1', [other]);
  await slots.look();
  await waitFor(() => stalled.length >= 6, { timeoutMs: 10_000, what: () => 'the share to be used' });
  await waitFor(
    async () => {
      await slots.look();
      return JSON.stringify(await statusOfOther()).includes('in_progress');
    },
    { timeoutMs: 10_000, what: () => 'the other tenant’s batch to go on' },
  );
  expect(stalled).toHaveLength(6);
  await fixture.database.query(`UPDATE client_batches SET ended_at = now(), status = 'failed'`);
  await slots.look();
  endStalled();
  await slots.settle();
});
