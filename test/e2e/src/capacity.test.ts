import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@millrace/test-support';
import type { JournalledCall } from '@millrace/simulator';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCapacityBook } from '../../../libs/capacity/src/index.ts';
import type { CapacityBook } from '../../../libs/capacity/src/index.ts';
import { keyNames } from '../../../libs/redis/src/index.ts';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const AT_A_TIME = 8;
/** After this the place of a dead worker's call is free again. */
const LEASE_MS = 12_000;
const MINUTE_MS = 60_000;
/** What one call of the narrow pool is charged: its `max_output_tokens`. */
const TOKENS = 30;
/** Wide enough that the places are what the calls wait for; what is booked is counted all the same. */
const NARROW = { requests: 6_000, tokens: 600_000, concurrency: AT_A_TIME };

let stack: TestStack;
let provider: SimulatedProvider;
let redis: Redis;
let book: CapacityBook;
/** When the last call of the narrow pool was over. */
let narrowUntil = 0;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 2,
    configuration: `pools:
  narrow: {targets: ["openai/gpt-6-luna"], max_concurrent_calls: ${AT_A_TIME},
    requests_per_minute: ${NARROW.requests}, tokens_per_minute: ${NARROW.tokens}, fixed: true}
routes:
  both: {targets: [{target: openai/gpt-6.1-sol}], fallback: [anthropic/claude-haiku-5-5]}
`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: '32',
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 200, latencyJitterMs: 100 }),
    },
  });
  provider = simulatedProvider(stack);
  redis = new Redis(stack.redisUrl);
  const onError = (error: unknown): void => {
    throw error;
  };
  book = createCapacityBook({
    redis,
    names: keyNames('mr'),
    onError,
    domains: new Map([['narrow', NARROW]]),
  });
});
afterAll(async () => {
  redis.disconnect();
  await stack.end();
});

it('keeps the book exact while workers that hold bookings are killed', async () => {
  const client = createHttpClient(stack);
  const jobs = await Promise.all(
    Array.from({ length: 160 }, (_, index) =>
      client.submit(`narrow-${index}`, {
        type: 'call',
        model: 'openai/gpt-6-luna',
        prompt: `Number ${index}`,
        max_output_tokens: TOKENS,
      }),
    ),
  );
  const leases = async (): Promise<string[]> => {
    const { 0: seconds, 1: micros } = await redis.time();
    const now = Number(seconds) * 1_000 + Number(micros) / 1_000;
    return redis.zrangebyscore('mr:leases:{narrow}', now, '+inf');
  };
  // What was booked when a worker died: each of these calls may never have been sent.
  const held = new Set<string>();
  for (const victim of ['worker-1', 'worker-2', 'worker-1']) {
    await provider.underWay(
      jobs.map((job) => job.id),
      4,
      30_000,
    );
    stack.strike(victim, 'SIGKILL');
    for (const id of await leases()) held.add(id);
    await pause(1_000);
    await expectExact(held.size);
  }
  const lastKillAt = Date.now();
  const ended = await client.allEnded(
    jobs.map((job) => job.id),
    120_000,
  );
  expect(ended.filter((job) => job.status !== 'completed')).toEqual([]);
  expect(mostUnderWay(provider.calls().filter((call) => call.model === 'gpt-6-luna'))).toBeLessThanOrEqual(
    AT_A_TIME,
  );

  narrowUntil = Date.now();
  await expectExact(held.size);
  const leftMs = lastKillAt + LEASE_MS + 2_000 - Date.now();
  await waitFor(async () => (await leases()).length === 0, {
    timeoutMs: Math.max(5_000, leftMs),
    what: 'the book to be empty',
  });
  await expectExact(held.size);
}, 200_000);

it('sends work to another provider while one is down, hardly asks it, and comes back', async () => {
  const client = createHttpClient(stack);
  const DOWN_MS = 60_000;
  await provider.fault({ kind: 'unavailable', seconds: DOWN_MS / 1_000, match: { dialect: 'openai' } });
  const downAt = Date.now();
  const downUntil = downAt + DOWN_MS;
  const ids: string[] = [];
  // A steady flow, which goes on for a while after the provider is back.
  for (let index = 0; Date.now() < downUntil + 15_000; index += 1) {
    const request = { type: 'call', route: 'both', prompt: `Flow ${index}`, max_output_tokens: 30 };
    ids.push((await client.submit(`flow-${index}`, request)).id);
    await pause(25);
  }
  const ended = await client.allEnded(ids, 120_000);
  expect(ended.filter((job) => job.status !== 'completed').map((job) => job.error)).toEqual([]);

  const calls = provider.calls().filter((call) => ids.includes(call.stepId!.split('/')[0]!));
  const amplification = calls.length / ids.length;
  const during = calls.filter(({ at }) => Date.parse(at) > downAt + 5_000 && Date.parse(at) < downUntil);
  const flowed = during.filter(({ dialect, end }) => dialect === 'anthropic' && end?.status === 200);
  const late = calls.filter((call) => Date.parse(call.at) > downUntil + 12_000);
  const home = late.filter((call) => call.dialect === 'openai').length / late.length;
  console.log(
    `${calls.length} calls for ${ids.length} steps (${amplification.toFixed(3)}); of ${during.length} from 5 s to the end of the outage ${flowed.length} were answered by Anthropic; 12 s after the outage ${Math.round(home * 100)} % go home`,
  );
  expect(flowed.length).toBeGreaterThanOrEqual(100);
  expect(flowed.length / during.length).toBeGreaterThanOrEqual(0.9);
  expect(amplification).toBeLessThanOrEqual(1.1);
  expect(home).toBeGreaterThan(0.9);
}, 300_000);

it('has forgotten a minute later what the killed workers had booked', async () => {
  // The other test has taken longer than that.
  await pause(Math.max(0, narrowUntil + MINUTE_MS + 2_000 - Date.now()));
  const { limits, underWay } = (await book.read('narrow'))!;
  expect({ requests: limits.requests?.used, tokens: limits.tokens?.used, underWay }).toEqual({
    requests: 0,
    tokens: 0,
    underWay: 0,
  });
}, 90_000);

/**
 * What the book holds of the narrow pool is what arrived at the provider in the last minute, and at most what was booked
 * and never sent: by those who died, and by those who live and are just about to send it.
 */
async function expectExact(heldAtKills: number): Promise<void> {
  const arrived = (calls: JournalledCall[], sinceAt: number): number =>
    calls.filter(({ at, model }) => model === 'gpt-6-luna' && Date.parse(at) > sinceAt).length;
  const [callsBefore, beforeAt] = [provider.calls(), Date.now()];
  const { limits, underWay } = (await book.read('narrow'))!;
  const before = arrived(callsBefore, Date.now() - MINUTE_MS);
  // The book keeps a call a little longer than the provider does.
  const after = arrived(provider.calls(), beforeAt - MINUTE_MS - 2_000);
  const used = limits.requests?.used ?? NaN;
  console.log(
    `booked ${used}, arrived ${before} to ${after}, under way ${underWay}, held at kills ${heldAtKills}`,
  );
  expect(after).toBeGreaterThan(0);
  expect(used).toBeGreaterThanOrEqual(before);
  expect(used).toBeLessThanOrEqual(after + heldAtKills + underWay);
  expect(limits.tokens?.used).toBe(used * TOKENS);
}

/** Calls that were at the provider at the same moment. */
function mostUnderWay(calls: readonly JournalledCall[]): number {
  const moments = calls.flatMap(({ at, end }) => [
    { at: Date.parse(at), change: 1 },
    { at: end ? Date.parse(end.at) : Infinity, change: -1 },
  ]);
  moments.sort((one, other) => one.at - other.at || one.change - other.change);
  let underWay = 0;
  return Math.max(...moments.map(({ change }) => (underWay += change)));
}
