import type { PoolConfig } from '@millrace/config';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createLogger, createMetrics } from '@millrace/telemetry';
import type { Metrics } from '@millrace/telemetry';
import { createTestRedis, waitFor } from '@millrace/test-support';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openBook } from './open-book.ts';
import type { OpenBook } from './open-book.ts';

const server = createTestRedis();
const names = keyNames(server.prefix);
const errors: unknown[] = [];
const onError = (error: unknown): void => void errors.push(error);
let redis: ReturnType<typeof connectRedis>;
beforeAll(async () => {
  redis = connectRedis({ url: server.url, role: 'worker', name: 'open-book-test', onError });
  await waitFor(() => redis.status === 'ready', { what: 'redis' });
});
afterAll(async () => {
  await server.flush();
  await closeRedis(redis);
});

const metrics = createMetrics('worker');
const lines: Record<string, unknown>[] = [];
const log = createLogger({
  app: 'worker',
  level: 'debug',
  destination: { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
});
const said = (event: string) => lines.filter((line) => line['event'] === event);
/** What a counter stands at for some labels; undefined where it has none. */
const countOf = async (
  counter: Metrics['limitChanges' | 'highUse' | 'providerRateLimits' | 'breakersOpened'],
  labels: Record<string, string>,
): Promise<number | undefined> => {
  const { values } = await counter.get();
  const fits = (has: Map<string, unknown>) =>
    Object.entries(labels).every(([name, is]) => has.get(name) === is);
  return values.find((each) => fits(new Map(Object.entries(each.labels))))?.value;
};

let pools = 0;
let pool: string;
beforeEach(() => {
  pool = `pool${(pools += 1)}`;
  lines.length = 0;
});
afterEach(() => {
  expect(errors).toEqual([]);
});
const open = (limits: PoolConfig['limits'], leaseMs = 30_000): OpenBook =>
  openBook({
    redis,
    names,
    pools: new Map([[pool, { name: pool, provider: 'openai', targets: [], limits }]]),
    leaseMs,
    log,
    metrics,
    labelOf: (target) => `label of ${target}`,
    onError,
  });
const size = { inputTokens: 10, maxOutputTokens: 10 };
async function book({ capacity }: OpenBook) {
  const reservation = await capacity.reserve(pool, size, { horizonMs: 10_000 });
  if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(JSON.stringify(reservation));
  return reservation.booking;
}

describe('a refusal for the rate', () => {
  it('is warned of once per pause, with the state of the book', async () => {
    const opened = open({ requests: 600, burstMs: 240_000 });
    const [first, second] = [await book(opened), await book(opened)];
    await opened.capacity.reportRefusal(pool, 20_000, first);
    await opened.capacity.reportRefusal(pool, 20_000, second);
    expect(said('refused')).toMatchObject([
      { level: 'warn', pool, retry_after_ms: 20_000, msg: 'a 429 that the book let through' },
    ]);
    const state = JSON.parse(String(said('refused')[0]!['detail'])) as Record<string, unknown>;
    expect(state).toMatchObject({ requests: { limit: 600, used: 2 } });
    expect(said('refused')[0]).not.toHaveProperty('withheld');
  });

  it('that asks to slow down is told as such', async () => {
    const opened = open({ requests: 600 });
    await opened.capacity.reportRefusal(pool, 20_000, await book(opened), { slowDown: true });
    expect(said('refused')).toMatchObject([{ msg: expect.stringMatching('asks to slow down') as string }]);
  });
});

it('what should stay at zero is there, at zero, from the start', async () => {
  open({ requests: 600 });
  expect(await countOf(metrics.providerRateLimits, { pool })).toBe(0);
  expect(await countOf(metrics.highUse, { pool })).toBe(0);
});

it('a limit that the provider changed is logged and counted, once', async () => {
  const opened = open({ requests: 600 });
  const booking = await book(opened);
  const told = { requests: { limit: 300, remaining: 299, resetMs: 200 } };
  await opened.capacity.observe(pool, told, booking);
  await opened.capacity.observe(pool, told, booking);
  expect(said('limit_changed')).toMatchObject([
    { level: 'info', pool, dimension: 'requests', from: 600, to: 300 },
  ]);
  expect(await countOf(metrics.limitChanges, { pool, dimension: 'requests' })).toBe(1);
});

it('use above the configured share for a window is warned of and counted, once', async () => {
  const limits = { requests: 10, windowMs: 300, arrivalSpreadMs: 0, highUseShare: 0.2, burstMs: 300 };
  const opened = open(limits);
  await waitFor(async () => Boolean(await book(opened)) && said('high_use').length > 0, { what: 'high use' });
  for (let calls = 0; calls < 5; calls += 1) await book(opened);
  expect(said('high_use')).toMatchObject([{ level: 'warn', pool }]);
  expect(await countOf(metrics.highUse, { pool })).toBe(1);
});

it('a breaker that opens is an error in the log, with its figures, and counted under the target’s label', async () => {
  const { breakers } = open({});
  const target = `openai/${pool}`;
  for (let calls = 0; calls < 12; calls += 1) await breakers.record(target, false);
  const told = said('breaker_opened');
  expect(told).toMatchObject([{ level: 'error', target }]);
  expect(told[0]!['count']).toBe(told[0]!['calls']);
  expect(told[0]!['calls']).toBeGreaterThanOrEqual(10);
  expect(await countOf(metrics.breakersOpened, { target: `label of ${target}` })).toBe(1);
});

it('what answers were thought to be is held against what they were', async () => {
  const { estimator } = open({});
  const valueOf = async (name: string): Promise<number | undefined> => {
    const { values } = await metrics.outputEstimates.get();
    return values.find(({ metricName }) => metricName === `millrace_output_estimate_ratio_${name}`)?.value;
  };
  await estimator.record('kind', 200, 300);
  // An answer without an estimate teaches, and says nothing of estimates.
  await estimator.record('kind', 200);
  await estimator.record('kind', 0, 2);
  expect([await valueOf('count'), await valueOf('sum')]).toEqual([2, 3.5]);
});

it('bookings of long calls are renewed while the service runs, and not after it', async () => {
  const leaseMs = 6_000;
  const opened = open({ concurrency: 5 }, leaseMs);
  const underWay = async () => (await opened.capacity.read(pool))?.underWay;
  await opened.renewal.start();
  await book(opened);
  const bookedAt = performance.now();
  await waitFor(() => performance.now() > bookedAt + 2 * leaseMs, {
    timeoutMs: 20_000,
    what: 'two leases',
  });
  expect(await underWay()).toBe(1);
  await opened.renewal.stop();
  await waitFor(async () => (await underWay()) === 0, { timeoutMs: 20_000, what: 'the lease to end' });
}, 60_000);
