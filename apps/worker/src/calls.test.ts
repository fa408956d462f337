import { createCapacityBook } from '@millrace/capacity';
import { cancelJob, claimSteps, findEvents, resolveHeldSteps, updateTenant } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { joinJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker, testTenant } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

const limited = { requests: 600, concurrency: 4 };
const config = `pools:
  limited: {targets: [openai/gpt-6.1-sol], requests_per_minute: 600, max_concurrent_calls: 4, fixed: true}
`;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({ config, environment: { MILLRACE_LEASE: '12s' } });
});
afterAll(async () => {
  await worker.stop();
});

const call = (prompt: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt,
  ...more,
});
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['mood'],
  properties: { mood: { type: 'string', enum: ['good', 'bad'] } },
};
const callsOf = (jobId: string) =>
  joinJournal(worker.simulator.journal()).filter((entry) => entry.stepId?.startsWith(`${jobId}/`));

describe('structured output', () => {
  it('is validated and becomes JSON', async () => {
    const id = await worker.submit(call('All is good and fine today.', { output: { schema } }));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: { mood: 'good' }, calls: 1 });
  });

  it('is repaired with the error as feedback', async () => {
    const id = await worker.submit(call('good [[sim:fault=invalid_json_once]]', { output: { schema } }));
    const job = await worker.ended(id);
    expect(job).toMatchObject({ status: 'completed', calls: 2, ambiguousCalls: 0 });
    const [step] = await worker.steps(id);
    expect(step!.attempts.map((attempt) => [attempt.purpose, attempt.status, attempt.errorCode])).toEqual([
      ['answer', 'completed', 'output_invalid'],
      ['repair', 'completed', null],
    ]);
    expect(step!.costMicroUsd).toBe(step!.attempts.reduce((sum, attempt) => sum + attempt.costMicroUsd, 0));
  });

  it('fails when the same wrong answer comes twice, after one repair', async () => {
    const id = await worker.submit(call('good [[sim:fault=invalid_json]]', { output: { schema } }));
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      error: { code: 'output_invalid' },
      calls: 2,
    });
  });
});

describe('a call whose answer is lost', () => {
  /** Takes the step from under the worker as a process would that dies after sending. */
  async function loseAnswer(prompt: string): Promise<string> {
    const id = await worker.submit(call(`${prompt} [[sim:latency=60000]]`));
    await waitFor(() => callsOf(id).length === 1, { what: 'the call to be sent' });
    await worker.database.query(
      `UPDATE steps SET wake_at = now() - interval '1 hour', fence = fence + 1 WHERE job_id = $1`,
      [id],
    );
    return id;
  }

  it('is sent again by default, and counted as ambiguous', async () => {
    const id = await worker.submit(call('[[sim:fault=hang;times=1]] [[sim:reply=second time]]'));
    await waitFor(() => callsOf(id).length === 1, { what: 'the call to be sent' });
    await worker.database.query(
      `UPDATE steps SET wake_at = now() - interval '1 hour', fence = fence + 1 WHERE job_id = $1`,
      [id],
    );
    const job = await worker.ended(id);
    expect(job).toMatchObject({ status: 'completed', output: 'second time', ambiguousCalls: 1 });
    const [step] = await worker.steps(id);
    expect(step).toMatchObject({ ambiguous: true });
    expect(step!.attempts.map((attempt) => attempt.status)).toContain('completed');
  });

  it('waits for a decision where the tenant wants that, and goes on after it', async () => {
    await updateTenant(worker.database, testTenant, { ambiguousPolicy: 'hold' });
    const id = await loseAnswer('hold me');
    await waitFor(async () => (await worker.steps(id))[0]?.status === 'held', {
      what: 'the step to be held',
    });
    const events = await findEvents(worker.database, id, 0, 100);
    expect(events.map((event) => event.type)).toContain('job.requires_action');
    const steps = await resolveHeldSteps(worker.database, {
      tenantId: testTenant,
      jobId: id,
      key: null,
      action: 'fail',
    });
    expect(steps).toHaveLength(1);
    expect(await worker.ended(id)).toMatchObject({ status: 'failed', error: { code: 'ambiguous_refused' } });
    await updateTenant(worker.database, testTenant, { ambiguousPolicy: 'retry' });
  });
});

describe('limits of a job', () => {
  it('refuse a call that could pass the cost cap, before it is sent', async () => {
    const id = await worker.submit({
      ...call('dear', { max_output_tokens: 100_000 }),
      max_cost_usd: '0.000001',
    });
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      error: { code: 'cost_cap_exceeded' },
      calls: 0,
    });
    expect(callsOf(id)).toEqual([]);
  });

  it('let calls wait for each other under the cap instead of failing them', async () => {
    const item = call('[[sim:reply=x]] {{ item }}', { max_output_tokens: 100 });
    const id = await worker.submit({
      type: 'map_reduce',
      items: ['a', 'b', 'c'],
      map: item,
      // One call's worst case is about 55 µ$, so the three cannot be under way together.
      max_cost_usd: '0.000100',
    });
    const job = await worker.ended(id, 20_000);
    expect(job).toMatchObject({ status: 'completed', output: ['x', 'x', 'x'] });
    expect(job.costMicroUsd).toBeLessThanOrEqual(100);
  });
});

describe('a call whose answer is cut', () => {
  it('stays booked at its worst case, so that further tries cannot pass the cost cap', async () => {
    const id = await worker.submit({
      ...call('[[sim:tokens=30]] [[sim:tps=100]] [[sim:fault=truncate;after=3]]', {
        ...{ route: undefined, model: 'anthropic/claude-haiku-5-5', max_output_tokens: 1_000 },
      }),
      // One call's worst case is about 505 µ$.
      max_cost_usd: '0.001200',
    });
    expect(await worker.ended(id, 20_000)).toMatchObject({
      status: 'failed',
      error: { code: 'cost_cap_exceeded' },
      calls: 2,
      ambiguousCalls: 2,
    });
    const usage = await worker.database.query<{ estimated: boolean; output_tokens: number }>(
      'SELECT estimated, output_tokens FROM usage WHERE job_id = $1',
      [id],
    );
    expect(usage.map((row) => row.estimated)).toEqual([true, true]);
    for (const row of usage) expect(row.output_tokens).toBeGreaterThan(1);
  });
});

describe('cancelling', () => {
  it('ends a running call and books what it has cost', async () => {
    const id = await worker.submit(call('[[sim:tokens=400]] [[sim:tps=20]]', { max_output_tokens: 500 }));
    await waitFor(() => callsOf(id).length === 1, { what: 'the call to be sent' });
    await cancelJob(worker.database, testTenant, id);
    // No signal was given, so the heartbeat finds out: within a third of the lease.
    await waitFor(() => callsOf(id)[0]?.end?.aborted === true, {
      timeoutMs: 11_000,
      what: 'the call to be cut',
    });
    await waitFor(async () => (await worker.ended(id)).inputTokens > 0, { what: 'the usage to be booked' });
    const [step] = await worker.steps(id);
    expect(step!.attempts[0]).toMatchObject({ status: 'cancelled' });
    expect((await worker.ended(id)).status).toBe('cancelled');
  });

  it('gives the place of a running call back in the book, and not what it was charged', async () => {
    const book = createCapacityBook({
      ...{ redis: worker.redis, names: worker.names, domains: new Map([['limited', limited]]) },
      onError: (error) => {
        throw error;
      },
    });
    const id = await worker.submit({
      ...{ type: 'call', model: 'openai/gpt-6.1-sol', max_output_tokens: 500 },
      prompt: '[[sim:tokens=400]] [[sim:tps=10]]',
    });
    await waitFor(() => callsOf(id).length === 1, { what: 'the call to be sent' });
    const underWay = { limits: { requests: { used: 1 } }, underWay: 1 };
    expect(await book.read('limited')).toMatchObject(underWay);
    await cancelJob(worker.database, testTenant, id);
    await waitFor(() => callsOf(id)[0]?.end?.aborted === true, {
      timeoutMs: 11_000,
      what: 'the call to be cut',
    });
    // A lease that nobody gives back would last for eight to twelve seconds more.
    await waitFor(async () => (await book.read('limited'))?.underWay === 0, {
      timeoutMs: 3_000,
      intervalMs: 20,
      what: 'its place to be free',
    });
    expect((await book.read('limited'))?.limits.requests?.used).toBe(1);
    expect(await worker.ended(id)).toMatchObject({ status: 'cancelled' });
  });

  it('of a branch that lost a race drops its call', async () => {
    const id = await worker.submit({
      type: 'fan_out',
      join: 'first_valid',
      branches: { slow: call('[[sim:latency=30000]] [[sim:reply=slow]]'), fast: call('[[sim:reply=fast]]') },
    });
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'fast' });
    await waitFor(
      () => callsOf(id).some((entry) => entry.stepId?.includes('/slow') && entry.end?.aborted === true),
      { timeoutMs: 11_000, what: 'the slow call to be cut' },
    );
  });
});

describe('the fence', () => {
  /** Claims a call that is under way as if its lease had run out, before anybody else sees that it has. */
  const takeOver = (jobId: string) =>
    worker.database.transaction(async (transaction) => {
      await transaction.query('SELECT id FROM jobs WHERE id = $1 FOR NO KEY UPDATE', [jobId]);
      const expire = `UPDATE steps SET wake_at = now() - interval '1 minute' WHERE job_id = $1`;
      await transaction.query(expire, [jobId]);
      const within: Database = {
        query: (...parameters) => transaction.query(...parameters),
        transaction: (work) => work(transaction),
        close: () => Promise.resolve(),
      };
      return claimSteps(within, [{ jobId, key: 'call' }], 'another worker', 60_000);
    });

  it('refuses the answer of a worker that lost its claim', async () => {
    const id = await worker.submit(call('[[sim:latency=3000]] [[sim:reply=late]]'));
    await waitFor(() => callsOf(id).length === 1, { what: 'the call to be sent' });
    const [claim] = await takeOver(id);
    expect(claim).toMatchObject({ fence: 2, lostAnswer: true });
    await waitFor(() => callsOf(id)[0]?.end != null, { timeoutMs: 15_000, what: 'the first call to end' });
    const [step] = await worker.steps(id);
    expect(step).toMatchObject({ status: 'claimed', output: null });
  });
});

describe('a step that cannot be read', () => {
  /** Submits a call to a pool that sends nothing for 15 s, and changes what its step asks. */
  const changed = async (change: string): Promise<string> => {
    const id = await worker.submit(call('x', { route: undefined, model: 'openai/gpt-6.1-sol' }));
    await waitFor(async () => (await statusOf(id)) === 'pending', { what: 'the step to be put off' });
    await worker.database.query(
      `UPDATE steps SET request = (request::jsonb || $2::jsonb)::json, not_before = now() WHERE job_id = $1`,
      [id, change],
    );
    return id;
  };
  const statusOf = async (id: string) => {
    const rows = await worker.database.query<{ status: string; fence: number; deaths: number }>(
      'SELECT status, fence, deaths FROM steps WHERE job_id = $1 AND fence > 0',
      [id],
    );
    return rows[0]?.status;
  };
  const park = async () => {
    const onError = (error: unknown): void => {
      throw error;
    };
    const { redis, names } = worker;
    const domains = new Map([['limited', limited]]);
    await createCapacityBook({ redis, names, domains, onError }).park('limited', 15_000);
  };

  it('fails with an error that says where, and harms no other', async () => {
    await park();
    const [broken, fine] = [await changed('{"messages": []}'), await changed('{}')];
    expect(await worker.ended(broken, 45_000)).toMatchObject({
      status: 'failed',
      error: { code: 'internal_error', message: expect.stringContaining('request.messages') as string },
    });
    expect(await worker.ended(fine, 45_000)).toMatchObject({ status: 'completed', calls: 1 });
  }, 90_000);

  it('because a newer version wrote it is left for a worker of that version', async () => {
    await park();
    const id = await changed('{"tools": []}');
    const fence = async () =>
      (await worker.database.query<{ fence: number }>('SELECT fence FROM steps WHERE job_id = $1', [id]))[0]!
        .fence;
    const before = await fence();
    await waitFor(async () => (await fence()) > before && (await statusOf(id)) === 'pending', {
      timeoutMs: 45_000,
      what: 'a worker to look at it and give it back',
    });
    expect(callsOf(id)).toEqual([]);
    await cancelJob(worker.database, testTenant, id);
  }, 90_000);
});

describe('a plan that cannot be carried on', () => {
  it('ends its job instead of being woken for ever', async () => {
    const id = await worker.submit(call('fine'));
    const broken = await worker.submit(call('x'), { wake: false });
    // What the intake refuses may still stand in the ledger of an older version.
    await worker.database.query(
      `UPDATE jobs SET content = replace(content::text, '"route":"cheap"', '"route":5')::json WHERE id = $1`,
      [broken],
    );
    expect(await worker.ended(broken)).toMatchObject({ status: 'failed', error: { code: 'internal_error' } });
    expect((await worker.ended(id)).status).toBe('completed');
  });
});
