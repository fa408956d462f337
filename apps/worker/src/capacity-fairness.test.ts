import { createBreakers, createCapacityBook } from '@millrace/capacity';
import type { Breakers, CapacityBook } from '@millrace/capacity';
import { ensureTenant, updateTenant } from '@millrace/ledger';
import { joinJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

const config = `pools:
  tokens: {targets: ["openai/gpt-6.1-sol"], tokens_per_minute: 100000, burst: 600s, fixed: true}
  moved: {targets: ["openai/gpt-6-luna"], requests_per_minute: 6000}
  shared: {targets: ["openai/gpt-6-sol"], max_concurrent_calls: 1}
tiers: {gold: {weight: 4}}
routes:
  tokens: {targets: [{target: openai/gpt-6.1-sol}]}
  moved: {targets: [{target: openai/gpt-6-luna}]}
`;

let worker: TestWorker;
let breakers: Breakers;
let book: CapacityBook;
beforeAll(async () => {
  worker = await startTestWorker({ config, simulator: { config: { latencyMs: 50 } } });
  const { redis, names } = worker;
  const onError = (error: unknown): void => {
    throw error;
  };
  breakers = createBreakers({ redis, names, onError });
  book = createCapacityBook({ redis, names, onError, domains: new Map([['moved', { requests: 6_000 }]]) });
});
afterAll(async () => {
  await worker.stop();
});

const call = (route: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route,
  prompt: 'Say yes.',
  ...more,
});

describe('a call that is ended by its job’s deadline', () => {
  it('is no trouble of the target', async () => {
    const prompt = '[[sim:latency=16000]] [[sim:reply=late]]';
    const hurried = { prompt, model: 'anthropic/claude-haiku-5-5', deadline: '8s' };
    const ids = await Promise.all(
      Array.from({ length: 12 }, () => worker.submit({ type: 'call', ...hurried })),
    );
    for (const id of ids) expect(await worker.ended(id, 25_000)).toMatchObject({ status: 'expired' });
    await waitFor(
      () => {
        const calls = joinJournal(worker.simulator.journal()).filter(
          ({ model }) => model === 'claude-haiku-5-5',
        );
        return calls.length >= 10 && calls.every(({ end }) => end);
      },
      { what: 'enough calls to end', timeoutMs: 15_000 },
    );
    expect(await breakers.state('anthropic/claude-haiku-5-5')).toBe('closed');
  }, 60_000);
});

describe('work that has to wait', () => {
  it('for the share of its class lets what is more urgent go', async () => {
    // Not a book that has just been opened, which lets nothing go at once.
    await worker.redis.hset(worker.names.book('tokens'), 'born', Date.now() - 120_000);
    const background = call('tokens', { max_output_tokens: 2_000, priority: 'background' });
    const backlog = await Promise.all(Array.from({ length: 100 }, () => worker.submit(background)));
    await waitFor(
      async () => (await Promise.all(backlog.map((id) => worker.steps(id)))).every(([step]) => step),
      { what: 'the backlog', timeoutMs: 20_000 },
    );
    const sent = () =>
      joinJournal(worker.simulator.journal()).filter(({ model }) => model === 'gpt-6.1-sol').length;
    let before = -1;
    await waitFor(
      () => {
        const same = before === sent() && before >= 0;
        before = sent();
        return same;
      },
      { intervalMs: 1_000, timeoutMs: 40_000, what: 'the background share to be full' },
    );
    const took: number[] = [];
    for (let urgent = 0; urgent < 3; urgent += 1) {
      const startedAt = performance.now();
      const id = await worker.submit(call('tokens', { max_output_tokens: 500, priority: 'realtime' }));
      await worker.ended(id, 20_000);
      took.push(performance.now() - startedAt);
    }
    // In the other two this process may have had no time.
    expect(Math.min(...took)).toBeLessThan(1_500);
  }, 120_000);
});

describe('a step that waits in a pool', () => {
  it.each(['openai', 'gone'])(
    'which is not its target’s any more (%s) moves',
    async (pool) => {
      // A worker hears nothing of wakes for a pool that it does not have.
      const queue = `${worker.names.queues}:calls-moved`;
      const forget = async () => {
        const wakes = await worker.redis.zrange(`${queue}:delayed`, '0', '-1');
        if (wakes.length > 0)
          await worker.redis.del([`${queue}:delayed`, ...wakes.map((id) => `${queue}:${id}`)]);
        return wakes.length;
      };
      await book.park('moved', 60_000);
      const id = await worker.submit(call('moved'));
      await waitFor(async () => (await worker.steps(id)).length === 1, { what: 'the step' });
      await waitFor(async () => (await forget()) > 0, { what: 'the wake to be put off', timeoutMs: 10_000 });
      const before = (await book.read('moved'))!.limits.requests!.used;
      const moved = await worker.database.query(
        `UPDATE steps SET pool = $2, wake_at = now(), not_before = now() WHERE job_id = $1 AND status = 'pending'
      RETURNING key`,
        [id, pool],
      );
      expect(moved).toHaveLength(1);
      await worker.redis.del(worker.names.parked('moved'));
      expect(await worker.ended(id, 40_000)).toMatchObject({ status: 'completed', calls: 1 });
      expect((await book.read('moved'))!.limits.requests!.used).toBe(before + 1);
    },
    90_000,
  );
});

describe('tenants that share a pool', () => {
  /** Which of the tenants' jobs the provider was called for, in this order. */
  const servedOf = (jobs: ReadonlyMap<string, string>): string[] =>
    joinJournal(worker.simulator.journal()).flatMap(
      ({ stepId }) => jobs.get((stepId ?? '').split('/')[0]!) ?? [],
    );

  it.each([
    { by: 'a worker', lost: false },
    { by: 'the scheduler after a loss', lost: true },
  ])(
    'get on by the weights of their configured tiers, when $by puts their calls in order',
    async ({ lost }) => {
      await ensureTenant(worker.database, 'umbrella');
      await updateTenant(worker.database, 'umbrella', { tier: 'gold' });
      const request = { type: 'call', model: 'openai/gpt-6-sol', max_output_tokens: 400 };
      const holder = await worker.submit({
        ...{ ...request, prompt: `[[sim:latency=${lost ? 25_000 : 12_000}]] [[sim:reply=last]]` },
      });
      const sent = () =>
        joinJournal(worker.simulator.journal()).some(({ stepId }) => stepId?.startsWith(holder));
      await waitFor(sent, { what: 'the place to be taken' });
      const jobs = new Map<string, string>();
      // The plain tenant comes first, so that it is not first by chance only because of its tier.
      for (const tenantId of ['acme', 'umbrella']) {
        const some = Array.from({ length: 20 }, () =>
          worker.submit({ ...request, prompt: 'Say yes.' }, { tenantId }),
        );
        for (const id of await Promise.all(some)) jobs.set(id, tenantId);
      }
      const waiting = async (): Promise<number> => {
        const query = `SELECT count(*)::int AS count FROM steps WHERE pool = 'shared' AND status = 'pending'`;
        return (await worker.database.query<{ count: number }>(query))[0]!.count;
      };
      await waitFor(async () => (await waiting()) === 40, { what: 'all to wait', timeoutMs: 10_000 });
      if (lost) await loseQueue();
      expect(servedOf(jobs)).toEqual([]);
      await waitFor(() => servedOf(jobs).length >= 20, { what: 'half of them', timeoutMs: 40_000 });
      const gold = servedOf(jobs)
        .slice(0, 20)
        .filter((tenant) => tenant === 'umbrella').length;
      console.log(`${gold} of the first 20 are gold's`);
      // Four of five, and a few that were handed out before the other tenant's were there.
      expect(gold).toBeGreaterThanOrEqual(14);
      expect(gold).toBeLessThan(20);
      await waitFor(() => servedOf(jobs).length === jobs.size, { what: 'the others', timeoutMs: 40_000 });
    },
    120_000,
  );

  /** Redis forgets what waits in the pool, and how far the tenants have come; the scheduler finds out. */
  async function loseQueue(): Promise<void> {
    const { redis, names } = worker;
    const keys = await redis.keys(`${names.queues}*shared*`);
    expect(keys.length).toBeGreaterThan(0);
    await redis.del(keys.concat(names.epoch));
    const prioritized = () => redis.zcard(`${names.queues}:calls-shared:prioritized`);
    await waitFor(async () => (await prioritized()) >= 38, {
      what: 'the scheduler to wake what waits',
      timeoutMs: 10_000,
    });
  }
});
