import { createApiKey, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const BACKLOG = 10_000;
const WORKERS = 2;
const AT_A_TIME = 4;
/** Calls that workers had taken before: nobody takes them away again. */
const UNDER_WAY = WORKERS * AT_A_TIME;
const CALLS_PER_SECOND = 10;
const LARGE_CALLS_PER_SECOND = 1;
const LARGE_TOKENS = 100_000;

let stack: TestStack;
let provider: SimulatedProvider;
let database: Database;
type Client = ReturnType<typeof createHttpClient>;
let large: Client;
let small: Client;
beforeAll(async () => {
  stack = await startTestStack({
    workers: WORKERS,
    // The limits keep the backlog from being drained: 10,000 calls would take 17 minutes.
    configuration: `pools:
  calls: {targets: [openai/gpt-6-luna], requests_per_minute: ${CALLS_PER_SECOND * 60}, fixed: true}
  tokens: {targets: [openai/gpt-6.1-sol], tokens_per_minute: ${LARGE_CALLS_PER_SECOND * LARGE_TOKENS * 60}, fixed: true}
routes:
  cheap: {targets: [{target: openai/gpt-6-luna}]}
  quality: {targets: [{target: openai/gpt-6.1-sol}]}
`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: String(AT_A_TIME),
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 50, latencyJitterMs: 0 }),
    },
  });
  provider = simulatedProvider(stack);
  database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  const clientOf = async (tenantId: string): Promise<Client> => {
    const { text } = await createApiKey(database, { tenantId, name: 'e2e', scopes: ['jobs'] });
    return createHttpClient(stack, text);
  };
  large = await clientOf('large');
  small = await clientOf('small');
}, 60_000);
afterAll(async () => {
  await database.close();
  await stack.end();
});

const call = (route: string, maxOutputTokens: number) => ({
  type: 'call',
  route,
  prompt: 'One call of many.',
  max_output_tokens: maxOutputTokens,
});

/** Submits many calls of the large tenant, some at a time. */
async function submitMany(name: string, count: number, request: Record<string, unknown>): Promise<void> {
  const lane = async (first: number): Promise<void> => {
    for (let index = first; index < count; index += 32) await large.submit(`${name}-${index}`, request);
  };
  await Promise.all(Array.from({ length: 32 }, (_, index) => lane(index)));
}

const countSteps = async (pool: string): Promise<number> => {
  const [row] = await database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM steps WHERE pool = $1',
    [pool],
  );
  return row!.count;
};

/**
 * Submits one call of the small tenant: how many others of its pool arrived at the provider between the moment at which it was
 * placed and its own arrival, and how long it took from its submission.
 */
async function overtakenBy(name: string, request: Record<string, unknown>, model: string) {
  const submittedAt = Date.now();
  const job = await small.submit(name, request);
  const own = () => provider.callsOf(job.id)[0];
  await waitFor(() => own() !== undefined, {
    timeoutMs: 30_000,
    intervalMs: 50,
    what: `the call of ${name}`,
  });
  const [step] = await database.query<{ placedAt: number }>(
    'SELECT (extract(epoch FROM created_at) * 1000)::float8 AS "placedAt" FROM steps WHERE job_id = $1',
    [job.id],
  );
  const arrivedAt = Date.parse(own()!.at);
  const before = provider
    .calls()
    .filter(
      ({ at, stepId, ...each }) =>
        each.model === model &&
        !stepId!.startsWith(`${job.id}/`) &&
        Date.parse(at) >= step!.placedAt &&
        Date.parse(at) < arrivedAt,
    ).length;
  return {
    name,
    before,
    placedAfterMs: Math.round(step!.placedAt - submittedAt),
    waitedMs: arrivedAt - submittedAt,
  };
}

it('a backlog of 10,000 calls of one tenant delays another tenant’s single call by no more than three times its share', async () => {
  const startedAt = performance.now();
  const submitting = submitMany('backlog', BACKLOG, call('cheap', 20));
  await waitFor(async () => (await countSteps('calls')) > BACKLOG / 4, {
    timeoutMs: 40_000,
    intervalMs: 200,
    what: 'a part of the backlog',
  });
  const seen = [await overtakenBy('while it comes in', call('cheap', 20), 'gpt-6-luna')];
  await submitting;
  await waitFor(async () => (await countSteps('calls')) > BACKLOG, {
    timeoutMs: 40_000,
    intervalMs: 200,
    what: 'the whole backlog',
  });
  const submittedMs = performance.now() - startedAt;
  seen.push(await overtakenBy('behind it', call('cheap', 20), 'gpt-6-luna'));
  seen.push(await overtakenBy('once more', call('cheap', 20), 'gpt-6-luna'));
  const left = BACKLOG - provider.calls().filter(({ model }) => model === 'gpt-6-luna').length;
  console.log(`backlog after ${Math.round(submittedMs)} ms, ${left} of it left:`, seen);

  // Of the next two calls one is its own.
  for (const { name, before } of seen) expect(before, name).toBeLessThanOrEqual(3 * 2 + UNDER_WAY);
  for (const { name, waitedMs, placedAfterMs } of seen) {
    const mostMs = ((3 * 2 + UNDER_WAY) / CALLS_PER_SECOND) * 1_000;
    expect(waitedMs - placedAfterMs, name).toBeLessThanOrEqual(mostMs + 1_000);
  }
  expect(left).toBeGreaterThan(BACKLOG * 0.8);
}, 120_000);

it('few calls of 100,000 tokens delay another tenant’s small call by no more than those that are under way', async () => {
  await submitMany('large', 60, call('quality', LARGE_TOKENS));
  await waitFor(async () => (await countSteps('tokens')) === 60, { what: 'the backlog of large calls' });
  // Beyond what a pool that was quiet may send at once.
  const arrived = () => provider.calls().filter(({ model }) => model === 'gpt-6.1-sol').length;
  await waitFor(() => arrived() >= 8, { timeoutMs: 20_000, what: 'the pool to be in its stride' });
  const seen = [];
  for (const name of ['first', 'second', 'third']) {
    seen.push(await overtakenBy(name, call('quality', 1_000), 'gpt-6.1-sol'));
  }
  console.log(`${60 - arrived()} large calls left:`, seen);
  for (const { name, before } of seen) expect(before, name).toBeLessThanOrEqual(UNDER_WAY);
  expect(arrived()).toBeLessThan(50);
}, 120_000);
