import { createCapacityBook } from '@millrace/capacity';
import type { CapacityBook } from '@millrace/capacity';
import { cancelJob } from '@millrace/ledger';
import { joinJournal } from '@millrace/simulator';
import { quickestMs, waitFor } from '@millrace/test-support';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker, testTenant } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

/** Two limit groups of one account, and a second vendor without limits. */
const config = `pools:
  narrow: {targets: ["openai/gpt-6-luna"], max_concurrent_calls: 2}
  small: {targets: ["openai/gpt-6.1-sol"], tokens_per_minute: 2000, requests_per_minute: 600}
  parked: {targets: ["openai/gpt-6.2-sol"], requests_per_minute: 6000}
  full: {targets: ["openai/gpt-6-sol"], max_concurrent_calls: 1}
  spent: {targets: ["openai/gpt-6.1-terra"], requests_per_minute: 10, fixed: true}
  told: {targets: ["openai/gpt-5.6-sol"], requests_per_minute: 600}
routes:
  narrow: {targets: [{target: openai/gpt-6-luna}]}
  small: {targets: [{target: openai/gpt-6.1-sol}]}
  either: {targets: [{target: openai/gpt-6.1-sol}], fallback: [anthropic/claude-haiku-5-5]}
`;

let worker: TestWorker;
let book: CapacityBook;
beforeAll(async () => {
  const simulated = { latencyMs: 100, limits: { groups: { 'gpt-5.6-sol': { requests: 300 } } } };
  worker = await startTestWorker({ config, simulator: { config: simulated } });
  const domains = new Map([
    ['parked', { requests: 6_000 }],
    ['told', { requests: 600 }],
  ]);
  const onError = (error: unknown): void => {
    throw error;
  };
  book = createCapacityBook({ redis: worker.redis, names: worker.names, onError, domains });
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

describe('a pool', () => {
  it('has no more calls under way than its limit, and runs all of them', async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => worker.submit(call('narrow'))));
    for (const id of ids) expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
    const calls = joinJournal(worker.simulator.journal()).filter(({ model }) => model === 'gpt-6-luna');
    const moments = calls.flatMap(({ at, end }) => [
      { at: Date.parse(at), change: 1 },
      { at: end ? Date.parse(end.at) : Infinity, change: -1 },
    ]);
    moments.sort((one, other) => one.at - other.at || one.change - other.change);
    let underWay = 0;
    const most = Math.max(...moments.map(({ change }) => (underWay += change)));
    expect(most).toBe(2);
  });

  it('fails a call that no minute can hold, and names the limit', async () => {
    const id = await worker.submit(call('small', { max_output_tokens: 4_000 }));
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      error: { code: 'call_too_large', message: expect.stringContaining('2000') as string },
      calls: 0,
    });
  });

  it('that cannot hold a call leaves it to another target of the route', async () => {
    const id = await worker.submit(call('either', { max_output_tokens: 4_000 }));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
    const [step] = await worker.steps(id);
    expect(step!.attempts.map(({ target }) => target)).toEqual(['anthropic/claude-haiku-5-5']);
  });

  it('takes the limit that an answer of the provider told, in place of the configured one', async () => {
    const limit = async () => (await book.read('told'))!.limits.requests!.limit;
    expect(await limit()).toBe(600);
    const id = await worker.submit({ type: 'call', model: 'openai/gpt-5.6-sol', prompt: 'Say yes.' });
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
    await waitFor(async () => (await limit()) === 300, { what: 'the limit that was told' });
  });

  it('that is closed, with a hundred steps in it, holds up no call of another', async () => {
    await book.park('parked', 60_000);
    const waiting: Promise<string>[] = [];
    await quickly(() => {
      waiting.push(submitMany('openai/gpt-6.2-sol', 100));
      // Another that comes with them, when their steps are placed and looked at for the first time.
      return worker.submit({ type: 'call', model: 'anthropic/claude-haiku-5-5', prompt: 'Say yes.' });
    });
    const hundreds = await Promise.all(waiting);
    for (const id of hundreds) await placed(id, 100);
    for (const model of ['anthropic/claude-haiku-5-5', 'openai/gpt-6-luna']) {
      await quickly(() => worker.submit({ type: 'call', model, prompt: 'Say yes.' }));
    }
    expect(callsOf('gpt-6.2-sol')).toEqual([]);
    expect(await book.parkedFor('parked')).toBeGreaterThan(0);
    // The others need not wait for the end of the minute.
    await worker.redis.del(worker.names.parked('parked'));
    for (const id of hundreds) {
      expect(await worker.ended(id, 90_000)).toMatchObject({ status: 'completed', calls: 100 });
    }
  }, 180_000);

  it('whose places are taken lets five hundred calls wait without a loop over them, and calls the next when there is room', async () => {
    const holder = await worker.submit({
      ...{ type: 'call', model: 'openai/gpt-6-sol', prompt: '[[sim:latency=40000]] [[sim:reply=last]]' },
    });
    await waitFor(() => callsOf('gpt-6-sol').length === 1, { what: 'the place to be taken' });
    const waiting = await submitMany('openai/gpt-6-sol', 500);
    await placed(waiting, 500);
    await expectRest('full', waiting);
    expect(callsOf('gpt-6-sol')).toMatchObject([{ end: null }]);

    await worker.ended(holder, 60_000);
    const endedAt = Date.parse(callsOf('gpt-6-sol')[0]!.end!.at);
    await waitFor(() => callsOf('gpt-6-sol').length > 1, { what: 'the next call', timeoutMs: 15_000 });
    const emptyMs = Date.parse(callsOf('gpt-6-sol')[1]!.at) - endedAt;
    console.log(`the place was empty for ${emptyMs} ms`);
    expect(emptyMs).toBeLessThan(3_000);
    await cancelJob(worker.database, testTenant, waiting);
    await worker.ended(waiting);
  }, 120_000);

  it('whose minute is spent lets five hundred calls wait without a loop over them, and calls one when it may', async () => {
    const waiting = await submitMany('openai/gpt-6.1-terra', 500);
    await placed(waiting, 500);
    await waitFor(() => callsOf('gpt-6.1-terra').length > 0, { what: 'the first call', timeoutMs: 20_000 });
    const before = callsOf('gpt-6.1-terra').length;
    await expectRest('spent', waiting);
    // Ten a minute is one in six seconds.
    await waitFor(() => callsOf('gpt-6.1-terra').length > before, { what: 'another', timeoutMs: 10_000 });
    await cancelJob(worker.database, testTenant, waiting);
    await worker.ended(waiting);
  }, 90_000);
});

/**
 * What calls that wait for a full pool may cost in a second, however many there are: each of the worker’s 64 places asks once,
 * then the pool pauses, and five seconds later they ask again. In a loop no second is quiet.
 */
const QUIET_CLAIMS = 5;
const MOST_CLAIMS = 30;
const MOST_ON_THE_BOOK = 40;
const MOST_SCRIPTS = 300;

/** Waits for a second in which a pool is quiet, then watches it and the calls that wait for it for five. */
async function expectRest(pool: string, waiting: string): Promise<void> {
  const WATCHED_MS = 5_000;
  let claims = await claimsOf(waiting);
  const claimsInMs = async (ms: number): Promise<number> => {
    const before = claims;
    await pause(ms);
    claims = await claimsOf(waiting);
    return claims - before;
  };
  await waitFor(async () => (await claimsInMs(1_000)) <= QUIET_CLAIMS, {
    timeoutMs: 15_000,
    what: 'a quiet second',
  });
  const scripts = await countScripts(pool);
  const perSecond = (count: number): number => (count * 1_000) / WATCHED_MS;
  const claimed = perSecond(await claimsInMs(WATCHED_MS));
  const { onTheBook, all } = scripts.end();
  const rates = { claimed, onTheBook: perSecond(onTheBook), all: perSecond(all) };
  console.log(`${pool}, in a second:`, rates);
  // Not that nothing was heard.
  expect(rates.all).toBeGreaterThan(0);
  expect(rates.claimed).toBeLessThanOrEqual(MOST_CLAIMS);
  expect(rates.onTheBook).toBeLessThanOrEqual(MOST_ON_THE_BOOK);
  expect(rates.all).toBeLessThanOrEqual(MOST_SCRIPTS);
}

const callsOf = (model: string) =>
  joinJournal(worker.simulator.journal()).filter((each) => each.model === model);

/** One job with so many calls that nothing but their pool holds back. */
const submitMany = (model: string, count: number): Promise<string> =>
  worker.submit({
    type: 'map_reduce',
    items: Array.from({ length: count }, (_each, index) => index),
    map: { type: 'call', model, prompt: 'Say {{ item }}.', max_output_tokens: 20 },
  });

async function placed(jobId: string, count: number): Promise<void> {
  const query = 'SELECT count(*)::int AS count FROM steps WHERE job_id = $1';
  const steps = async () => (await worker.database.query<{ count: number }>(query, [jobId]))[0]!.count;
  await waitFor(async () => (await steps()) >= count, { timeoutMs: 20_000, what: 'its steps to be placed' });
}

/** Submits a call and expects it to end long before a pool that is closed for a minute opens. */
async function quickly(submit: () => Promise<string>): Promise<void> {
  const endedAfterMs = async (): Promise<number> => {
    const startedAt = performance.now();
    expect(await worker.ended(await submit())).toMatchObject({ status: 'completed', calls: 1 });
    return performance.now() - startedAt;
  };
  expect(await quickestMs(2_000, endedAfterMs)).toBeLessThan(2_000);
}

/** How often steps of a job were claimed: each claim has a fence of its own. */
async function claimsOf(jobId: string): Promise<number> {
  const query = 'SELECT sum(fence)::int AS claims FROM steps WHERE job_id = $1';
  return (await worker.database.query<{ claims: number }>(query, [jobId]))[0]!.claims;
}

/**
 * Counts the scripts that Redis runs for this worker from now on, and those among them that work on a pool's book. On a plain
 * connection: the client's own way takes it amiss when the first command comes along with the answer to MONITOR.
 */
async function countScripts(pool: string) {
  const { host = '127.0.0.1', port = 6379 } = worker.redis.options;
  const prefix = worker.names.queues.slice(1, -1);
  const count = { all: 0, onTheBook: 0 };
  const socket = connect({ host, port });
  await once(socket, 'connect');
  const lines = createInterface({ input: socket });
  const begun = once(lines, 'line');
  lines.on('line', (line) => {
    // Time, database, client (`lua` for what a script does), command, parameters.
    if (!/^\+[\d.]+ \[\d+ (?!lua)[^\]]+\] "(?:eval|evalsha|fcall)"/i.test(line) || !line.includes(prefix))
      return;
    count.all += 1;
    if (line.includes(`"${worker.names.book(pool)}"`)) count.onTheBook += 1;
  });
  socket.write('MONITOR\r\n');
  await begun;
  return {
    end() {
      socket.destroy();
      return count;
    },
  };
}
