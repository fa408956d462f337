import { ensureTenant } from '@millrace/ledger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { mayPass, refusal } from './testing/scripted-vendor.ts';
import type { ScriptedVendor } from './testing/scripted-vendor.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(() => lane.close());

const statusOf = async (jobId: string) => (await lane.ledger.step(jobId, 'call'))['status'];

describe('a pool whose enqueued tokens are nearly used up', () => {
  it('lets steps wait in the lane that only the rest of the limit is too small for', async () => {
    const pool = { name: 'openai', provider: 'openai', targets: [], limits: {} };
    lane.dependencies.pools = new Map([['openai', { ...pool, enqueuedBatchTokens: 1_000_000 }]]);
    await lane.addJob();
    await lane.collect();
    const tokens = Number((await lane.batches())[0]?.['estimated_tokens']);
    lane.dependencies.pools = new Map([['openai', { ...pool, enqueuedBatchTokens: 2 * tokens - 1 }]]);
    const job = await lane.addJob();
    await lane.collect();
    await lane.collect();
    expect(await statusOf(job)).toBe('collected');
    expect(lane.heard.steps).toEqual([]);
    expect(await lane.batches()).toHaveLength(1);
  });

  it('sends to realtime what not even the whole limit has room for', async () => {
    const pool = { name: 'openai', provider: 'openai', targets: [], limits: {}, enqueuedBatchTokens: 1 };
    lane.dependencies.pools = new Map([['openai', pool]]);
    const job = await lane.addJob();
    await lane.collect();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'too_large_for_batch',
    });
    expect(await lane.batches()).toEqual([]);
  });
});

describe('a batch that may be somebody else’s', () => {
  async function adoptForeign(phase: 'in_progress' | 'cancelled'): Promise<string> {
    const job = await lane.addJob();
    lane.vendor.keepsMetadata = false;
    await lane.collect();
    lane.vendor.breakAt = (at) => (at === 'before-create' ? mayPass({ maybeBilled: true }) : null);
    await lane.advance();
    lane.vendor.breakAt = () => null;
    lane.vendor.batches.push(foreign(phase));
    await lane.advance();
    expect((await lane.batches())[0]).toMatchObject({ provider_batch_id: 'foreign', certain: false });
    return job;
  }
  const foreign = (phase: 'in_progress' | 'cancelled'): ScriptedVendor['batches'][number] => ({
    shown: {
      providerBatchId: 'foreign',
      phase,
      counts: null,
      createdAt: Date.now(),
      expiresAt: null,
      endedAt: phase === 'cancelled' ? Date.now() : null,
      failure: null,
      handles: {},
      usage: null,
    },
    ours: 'of another application',
    customIds: ['ticket-1'],
  });

  it('is not cancelled when our steps have left', async () => {
    await adoptForeign('in_progress');
    await lane.ledger.database.query("UPDATE steps SET escape_at = now() - interval '1 second'");
    await lane.escape();
    await lane.advance();
    expect(lane.vendor.cancelled).toEqual([]);
  });

  it('is not deleted when it ends without a result that tells whose it is', async () => {
    await adoptForeign('cancelled');
    lane.vendor.answer = () => null;
    await lane.advance();
    expect(lane.vendor.discarded).toEqual([]);
  });
});

describe('results that the vendor has lost', () => {
  it('do not keep steps without a deadline waiting for ever', async () => {
    const job = await lane.addJob();
    await lane.collect();
    await lane.advance();
    lane.vendor.end();
    lane.vendor.breakAt = (at) => (at === 'result 0' ? refusal({ httpStatus: 404 }) : null);
    for (let look = 0; look < 12; look += 1) await lane.advance();
    expect(await statusOf(job)).toBe('collected');
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended' });
  });
});

describe('a vendor that does not let us look any more', () => {
  it('keeps steps no longer than its batch can take', async () => {
    const job = await lane.addJob();
    await lane.collect();
    await lane.advance();
    lane.vendor.breakAt = (at) =>
      at === 'retrieve' ? refusal({ code: 'provider_auth', httpStatus: 401 }) : null;
    for (let look = 0; look < 12; look += 1) await lane.advance();
    expect(await statusOf(job)).toBe('sent');
    lane.dependencies.now = () => Date.now() + 26 * 3_600_000;
    await lane.advance();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({
      status: 'pending',
      lane_reason: 'batch_stuck',
    });
  });
});

describe('a provider that went out of the configuration', () => {
  it('gives steps back whose batch was never sent', async () => {
    const job = await lane.addJob();
    await lane.collect();
    lane.dependencies.ports = new Map();
    await lane.advance();
    expect(await statusOf(job)).toBe('pending');
    expect((await lane.batches())[0]).toMatchObject({ status: 'ended', outcome: 'abandoned' });
  });

  it('gives steps back when the batch has long expired', async () => {
    const job = await lane.addJob();
    await lane.collect();
    await lane.advance();
    lane.dependencies.ports = new Map();
    await lane.advance();
    expect(await statusOf(job)).toBe('sent');
    lane.dependencies.now = () => Date.now() + 26 * 3_600_000;
    await lane.advance();
    expect(await statusOf(job)).toBe('pending');
  });
});

describe('pilots', () => {
  beforeEach(async () => {
    lane.dependencies.settings.pilotFrom = 2;
    for (let jobs = 0; jobs < 10; jobs += 1) await lane.addJob();
  });

  /** Sends the next pilot and lets it end so. */
  async function pilotEnds(change: string): Promise<void> {
    // The first look may only find that the pilot before has ended.
    while (lane.heard.steps.length === 0) {
      await lane.collect();
      later();
    }
    const [pilot = ''] = lane.heard.steps.splice(0);
    await lane.ledger.database.query(
      `UPDATE steps SET finished_at = now(), wake_at = NULL, ordinal = 1, ${change} WHERE job_id = $1`,
      [pilot.split(' ')[0]],
    );
  }
  /** So late that a pilot that told nothing is followed by the next one. */
  const later = (): void => {
    lane.dependencies.now = () => Date.now() + 3_600_000;
  };
  /** Lets three pilots end so one after the other; what is known of the shape then. */
  async function trialAfter(...changes: string[]): Promise<unknown> {
    for (const change of changes) await pilotEnds(change);
    await lane.collect();
    return trial();
  }
  const trial = async (): Promise<unknown> =>
    (await lane.ledger.database.query<{ status: string }>('SELECT status FROM batch_shapes'))[0]?.status;
  const failed = (code: string) =>
    `status = 'failed', error = '{"code": "${code}", "message": "It went wrong."}'`;
  const REFUSED = failed('provider_refused_request');
  const NOTHING = failed('provider_unavailable');
  const ELSEWHERE = "status = 'completed', target = 'anthropic/claude-haiku-5-5'";
  const three = (change: string) => [change, change, change];

  it('that the provider refused refuse their shape', async () => {
    expect(await trialAfter(...three(REFUSED))).toBe('refused');
  });

  it.each(['content_refused', 'context_length_exceeded', 'output_invalid', 'output_truncated'])(
    'that ended with %s prove their shape: the provider took the request',
    async (code) => {
      expect(await trialAfter(failed(code))).toBe('proven');
    },
  );

  it.each(['provider_unavailable', 'provider_bad_answer', 'call_too_large'])(
    'that ended with %s say nothing of their shape',
    async (code) => {
      expect(await trialAfter(...three(failed(code)))).toMatch(/^(untried|trying)$/);
    },
  );

  it('that another target answered prove nothing', async () => {
    expect(await trialAfter(...three(ELSEWHERE))).toMatch(/^(untried|trying)$/);
  });

  it('refuse a shape only when three of them were refused, however many told nothing', async () => {
    expect(await trialAfter(NOTHING, ELSEWHERE, REFUSED, NOTHING, REFUSED)).toMatch(/^(untried|trying)$/);
    expect(await trialAfter(REFUSED)).toBe('refused');
  });

  it.each([failed('cost_cap_exceeded'), failed('call_too_large'), "status = 'cancelled'"])(
    'that never left (%s) do not keep the next one waiting',
    async (change) => {
      await pilotEnds(change);
      lane.dependencies.now = () => 0;
      for (let looks = 0; looks < 2; looks += 1) await lane.collect();
      expect(lane.heard.steps).toHaveLength(1);
    },
  );

  it('are taken from another tenant than the last one, as long as there is one', async () => {
    await ensureTenant(lane.ledger.database, 'another');
    const others = await lane.addJob(['call'], { tenantId: 'another' });
    await pilotEnds(NOTHING);
    later();
    while (lane.heard.steps.length === 0) await lane.collect();
    expect(lane.heard.steps[0]).toContain(others);
    await pilotEnds(NOTHING);
    later();
    while (lane.heard.steps.length === 0) await lane.collect();
    expect(lane.heard.steps[0]).not.toContain(others);
  });

  it('that tell nothing are followed by the next one after a while, not at each look', async () => {
    await pilotEnds(ELSEWHERE);
    lane.dependencies.now = () => 0;
    for (let looks = 0; looks < 3; looks += 1) await lane.collect();
    expect(await trial()).toBe('untried');
    expect(lane.heard.steps).toEqual([]);
    later();
    await lane.collect();
    expect(lane.heard.steps).toHaveLength(1);
    expect(await trial()).toBe('trying');
  });
});
