import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@millrace/test-support';
import type { JournalledCall } from '@millrace/simulator';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const AT_A_TIME = 8;
/** After this the place of a dead worker's call is free again. */
const LEASE_MS = 12_000;

let stack: TestStack;
let provider: SimulatedProvider;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 2,
    configuration: `pools:
  narrow: {targets: ["openai/gpt-6-luna"], max_concurrent_calls: ${AT_A_TIME}}
routes:
  both: {targets: [{target: openai/gpt-6.1-sol}], fallback: [anthropic/claude-haiku-5-5]}
`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: '32',
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 200, latencyJitterMs: 100 }),
    },
  });
  provider = simulatedProvider(stack);
});
afterAll(() => stack.end());

it('keeps the book exact while workers that hold bookings are killed', async () => {
  const client = createHttpClient(stack);
  const jobs = await Promise.all(
    Array.from({ length: 160 }, (_, index) =>
      client.submit(`narrow-${index}`, {
        type: 'call',
        model: 'openai/gpt-6-luna',
        prompt: `Number ${index}`,
        max_output_tokens: 30,
      }),
    ),
  );
  for (const victim of ['worker-1', 'worker-2', 'worker-1']) {
    await provider.underWay(
      jobs.map((job) => job.id),
      4,
      30_000,
    );
    stack.strike(victim, 'SIGKILL');
    await pause(1_000);
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

  const redis = new Redis(stack.redisUrl);
  const leases = async (): Promise<number> => {
    const { 0: seconds, 1: micros } = await redis.time();
    const now = Number(seconds) * 1_000 + Number(micros) / 1_000;
    return redis.zcount('mr:leases:{narrow}', now, '+inf');
  };
  const leftMs = lastKillAt + LEASE_MS + 2_000 - Date.now();
  await waitFor(async () => (await leases()) === 0, {
    timeoutMs: Math.max(5_000, leftMs),
    what: 'the book to be empty',
  });
  redis.disconnect();
}, 200_000);

it('sends work to another provider while one is down, hardly asks it, and comes back', async () => {
  const client = createHttpClient(stack);
  const DOWN_MS = 20_000;
  await provider.fault({ kind: 'unavailable', seconds: DOWN_MS / 1_000, match: { dialect: 'openai' } });
  const downUntil = Date.now() + DOWN_MS;
  const ids: string[] = [];
  // A steady flow, which goes on for a while after the provider is back.
  for (let index = 0; Date.now() < downUntil + 15_000; index += 1) {
    const request = { type: 'call', route: 'both', prompt: `Flow ${index}`, max_output_tokens: 30 };
    ids.push((await client.submit(`flow-${index}`, request)).id);
    await pause(25);
  }
  const ended = await client.allEnded(ids, 60_000);
  expect(ended.filter((job) => job.status !== 'completed').map((job) => job.error)).toEqual([]);

  const calls = provider.calls().filter((call) => ids.includes(call.stepId!.split('/')[0]!));
  const amplification = calls.length / ids.length;
  const late = calls.filter((call) => Date.parse(call.at) > downUntil + 12_000);
  const home = late.filter((call) => call.dialect === 'openai').length / late.length;
  console.log(
    `${calls.length} calls for ${ids.length} steps (${amplification.toFixed(3)}); 12 s after the outage ${Math.round(home * 100)} % go home`,
  );
  expect(amplification).toBeLessThanOrEqual(1.1);
  expect(home).toBeGreaterThan(0.9);
}, 150_000);

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
