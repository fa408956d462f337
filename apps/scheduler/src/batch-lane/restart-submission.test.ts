import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { mayPass } from './testing/scripted-vendor.ts';

const LIST_LAG_MS = 120_000;

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane({ listLagMs: LIST_LAG_MS });
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

/** In how long the one batch is looked at again. */
async function wakesInMs(): Promise<number> {
  const [batch] = await lane.ledger.database.query<{ ms: number }>(
    'SELECT extract(epoch FROM wake_at - now())::float8 * 1000 AS ms FROM provider_batches',
  );
  return batch!.ms;
}

describe('a batch that was created by one who died', () => {
  for (const keepsFiles of [true, false]) {
    it(`is created once although the vendor lists it late, ${keepsFiles ? 'with' : 'without'} files`, async () => {
      await lane.addJob();
      lane.vendor.keepsFiles = keepsFiles;
      await lane.collect();
      lane.vendor.breakAt = (at) => (at === 'after-create' ? mayPass({ maybeBilled: true }) : null);
      await lane.advance();
      lane.vendor.breakAt = () => null;
      const find = lane.vendor.find.bind(lane.vendor);
      lane.vendor.find = () => Promise.resolve([]);
      await lane.advance();
      expect(await wakesInMs()).toBeGreaterThan(LIST_LAG_MS - 10_000);
      expect(await wakesInMs()).toBeLessThanOrEqual(LIST_LAG_MS);
      // It shows it in time.
      lane.vendor.find = find;
      await lane.advance();
      expect(lane.vendor.batches).toHaveLength(1);
      expect((await lane.batches())[0]).toMatchObject({ status: 'running', provider_batch_id: 'vendor_1' });
    });
  }

  it('keeps no step in it past its deadline while the vendor’s list is waited for', async () => {
    const job = await lane.addJob(['call'], {}, { escapeAt: Date.now() + 30_000 });
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? mayPass({ maybeBilled: true }) : null);
    await lane.advance();
    await lane.advance();
    await lane.ledger.passTime(31_000);
    await lane.escape();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ status: 'pending', lane: 'realtime' });
  });
});

describe('a submission that the vendor turned away for the moment', () => {
  it('is tried again without waiting for what cannot have been created', async () => {
    await lane.addJob();
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? mayPass() : null);
    await lane.advance();
    expect(await wakesInMs()).toBeLessThan(10_000);
    lane.vendor.breakAt = () => null;
    await lane.advance();
    expect(lane.vendor.batches).toHaveLength(1);
  });
});
