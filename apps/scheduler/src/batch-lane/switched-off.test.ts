import { changeRoutes } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestLane, target } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';

let lane: TestLane;
beforeAll(async () => {
  lane = await openTestLane();
});
afterAll(async () => {
  await lane.close();
});

const turn = (enabled: false | null) =>
  changeRoutes(lane.ledger.database, { apiKeyId: 'key', tenantId: 'acme' }, [
    { route: null, target, enabled, configuredWeight: null },
  ]);

it('submits nothing to a target that was switched off, and goes on when it is back', async () => {
  const jobId = await lane.addJob();
  await turn(false);
  await lane.collect();
  await lane.advance();
  expect(lane.vendor.batches).toEqual([]);
  expect(await lane.ledger.step(jobId, 'call')).toMatchObject({ status: 'collected', lane: 'batch' });
  await turn(null);
  await lane.collect();
  await lane.advance();
  expect(lane.vendor.batches).toHaveLength(1);
});
