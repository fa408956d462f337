import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { mayPass, refusal } from './testing/scripted-vendor.ts';

const HOUR = 3_600_000;
let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(() => lane.close());

/** Lets a batch end while the vendor refuses to delete. */
async function endWithoutDeletion(error: Error = mayPass()): Promise<void> {
  await lane.addJob();
  await lane.collect();
  await lane.advance();
  lane.vendor.end();
  lane.vendor.breakAt = (point) => (point === 'discard' ? error : null);
  await lane.advance();
  expect((await lane.batches())[0]).toMatchObject({ status: 'ended' });
  expect(lane.vendor.discarded).toEqual([]);
}
/** From now on the clock stands still between two calls. */
async function passTime(ms: number): Promise<void> {
  const at = lane.dependencies.now() + ms;
  lane.dependencies.now = () => at;
  await lane.dependencies.leftovers.discardDue();
}
const heal = (): void => {
  lane.vendor.breakAt = () => null;
};

describe('files that a vendor could not delete when the batch ended', () => {
  it('are deleted later, once, and the batch does not wait for it', async () => {
    await endWithoutDeletion();
    await passTime(HOUR);
    heal();
    await passTime(0);
    expect(lane.vendor.discarded).toEqual([]);
    await passTime(HOUR);
    await passTime(HOUR);
    expect(lane.vendor.discarded).toEqual(['vendor_1']);
  });

  it('are left where they are after some tries, and that is reported', async () => {
    await endWithoutDeletion();
    for (let tries = 0; tries < 8; tries += 1) await passTime(HOUR);
    expect(lane.heard.errors).toHaveLength(2);
    heal();
    await passTime(HOUR);
    expect(lane.vendor.discarded).toEqual([]);
  });

  it('are not asked for again when the vendor refuses for good', async () => {
    await endWithoutDeletion(refusal({ code: 'provider_auth', httpStatus: 401 }));
    heal();
    await passTime(HOUR);
    expect(lane.vendor.discarded).toEqual([]);
  });

  it('are deleted later as well where the batch was never created', async () => {
    await lane.addJob();
    await lane.collect();
    lane.vendor.breakAt = (point) =>
      point === 'before-create' ? refusal() : point === 'discard' ? mayPass() : null;
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'refused' });
    expect(lane.vendor.discardedFiles).toEqual([]);
    heal();
    await passTime(HOUR);
    expect(lane.vendor.discardedFiles).toEqual(['file_1']);
  });
});
