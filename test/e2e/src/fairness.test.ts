import { openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { openTenants, sendSingleCall } from './single-call.ts';
import type { SingleCall } from './single-call.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const BACKLOG = 2_000;
const AT_A_TIME = 4;
const AGEING_MS = 3_000;
const MODEL = 'gpt-6-luna';

let stack: TestStack;
let provider: SimulatedProvider;
let database: Database;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 1,
    configuration: `ageing: {standard: 1h, background: ${AGEING_MS}ms}`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: String(AT_A_TIME),
      // 80 calls a second: the backlog lasts for some 25 seconds.
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
}, 60_000);
afterAll(async () => {
  await database.close();
  await stack.end();
});

const call = (more: Record<string, unknown> = {}) => ({
  type: 'call',
  model: `openai/${MODEL}`,
  prompt: 'One call of many.',
  max_output_tokens: 20,
  ...more,
});
/** Places at the provider, in the order in which calls arrived there. */
const arrivals = (): string[] => provider.calls().map((each) => each.stepId!.split('/')[0]!);

it('a backlog of 2,000 calls of one tenant does not delay another tenant by more than its share', async () => {
  const { large, small } = await openTenants(database, (key) => createHttpClient(stack, key));
  const jobs: string[] = [];
  const submitSome = async (worker: number): Promise<void> => {
    for (let index = worker; index < BACKLOG; index += 20) {
      jobs.push((await large.submit(`backlog-${index}`, call())).id);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => submitSome(worker)));

  // In order of arrival it would be more than 1,000. Its share is every other call; besides there are those under way.
  const allowed = 3 * 2 + AT_A_TIME;
  const single = (client: typeof small, name: string, more: Record<string, unknown> = {}) =>
    sendSingleCall(
      { stack, client, provider, database },
      name,
      call(more),
      MODEL,
      ({ before }) => before <= allowed,
    );
  const seen: SingleCall[] = [
    await single(small, 'first'),
    await single(small, 'second'),
    await single(small, 'third', { max_output_tokens: 40 }),
    await single(large, 'realtime', { priority: 'realtime' }),
  ];
  const background = await sendSingleCall(
    { stack, client: small, provider, database },
    'background',
    call({ priority: 'background' }),
    MODEL,
  );
  const waiting = BACKLOG - arrivals().filter((id) => jobs.includes(id)).length;
  console.log('among the backlog:', seen, background);
  for (const { name, before } of seen) expect(before, name).toBeLessThanOrEqual(allowed);
  // Background waits until it is raised, and not until the backlog is done.
  expect(background.waitedMs).toBeGreaterThanOrEqual(AGEING_MS - 500);
  expect(waiting).toBeGreaterThan(100);
  await provider.configure({ latencyMs: 0 });
  await large.allEnded(jobs, 240_000);
}, 360_000);
