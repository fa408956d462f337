import type { RouteConfig } from '@millrace/config';
import { advanceJob, updateTenant } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestLane, target } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(() => lane.close());

const request = (route: string | null) => ({
  kind: 'call' as const,
  route,
  model: route === null ? target : null,
  system: null,
  messages: [{ role: 'user' as const, content: 'Keep this to yourself.' }],
  output: null,
  maxOutputTokens: 10,
  stream: false,
});
const addJob = async (route: string | null): Promise<string> => {
  const jobId = await lane.ledger.addJob({ lane: 'batch' }, [
    {
      key: 'call',
      target,
      request: request(route),
      placement: { lane: 'batch', reason: 'asked_for', escapeAt: null, shape: 'a shape' },
    },
  ]);
  return jobId;
};

describe('provider batches that are forbidden', () => {
  it('to a tenant take none of its calls any more, those that were collected included', async () => {
    const job = await addJob(null);
    await updateTenant(lane.ledger.database, 'acme', { batchAllowed: false });
    const seen: boolean[] = [];
    await advanceJob(lane.ledger.database, job, async ({ batchAllowed }) => {
      seen.push(batchAllowed);
      return { kind: 'wait', steps: [], abandoned: [] };
    });
    expect(seen).toEqual([false]);
    await lane.collect();
    expect(await lane.batches()).toEqual([]);
    expect(await lane.ledger.step(job, 'call')).toMatchObject({
      status: 'pending',
      lane: 'realtime',
      lane_reason: 'forbidden_by_tenant',
    });
    await updateTenant(lane.ledger.database, 'acme', { batchAllowed: true });
    await addJob(null);
    await lane.collect();
    expect(await lane.batches()).toMatchObject([{ line_count: 1 }]);
  });

  it('to a route take its collected calls no more, and those of other routes as before', async () => {
    const route: RouteConfig = { targets: [{ target, weight: 1 }], fallback: [], degraded: { kind: 'wait' } };
    lane.dependencies.routes = new Map([
      ['private', { ...route, batch: false }],
      ['cheap', route],
    ]);
    const [forbidden, allowed] = [await addJob('private'), await addJob('cheap')];
    await lane.collect();
    expect(await lane.ledger.step(forbidden, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'forbidden_by_route',
    });
    expect(await lane.ledger.step(allowed, 'call')).toMatchObject({ status: 'sent' });
    expect(lane.heard.steps).toEqual([`${forbidden} call`]);
  });
});
