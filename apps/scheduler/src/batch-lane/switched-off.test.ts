import { changeRoutes } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestLane, target } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { refusal } from './testing/scripted-vendor.ts';

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

it('a refused line falls over to the targets of its route that are in force', async () => {
  const [off, unwanted, live] = ['openai/gpt-6-sol', 'openai/gpt-6-terra', 'openai/gpt-6-mini'];
  const targets = [target, off, unwanted, live].map((each) => ({ target: each, weight: 1 }));
  lane.dependencies.routes = new Map([['cheap', { targets, fallback: [], degraded: { kind: 'wait' } }]]);
  const who = { apiKeyId: 'key', tenantId: 'acme' };
  await changeRoutes(lane.ledger.database, who, [
    { route: 'cheap', target: off, enabled: false, configuredWeight: 1 },
    { route: 'cheap', target: unwanted, weight: 0, configuredWeight: 1 },
  ]);
  const jobId = await lane.addJob();
  await lane.ledger.database.query("UPDATE steps SET route = 'cheap' WHERE job_id = $1", [jobId]);
  lane.vendor.answer = (customId) => ({
    customId,
    kind: 'error',
    error: refusal({ scope: 'target' }),
  });
  await lane.collect();
  await lane.advance();
  lane.vendor.end();
  await lane.advance();
  expect(await lane.ledger.step(jobId, 'call')).toMatchObject({ status: 'pending', target: live });
});
