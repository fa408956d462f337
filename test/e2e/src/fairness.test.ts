import { createApiKey, openDatabase } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const BACKLOG = 2_000;
const AT_A_TIME = 4;
const AGEING_MS = 3_000;

let stack: TestStack;
let provider: SimulatedProvider;
type Client = ReturnType<typeof createHttpClient>;
const clients: Record<string, Client> = {};
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
  const database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  for (const tenantId of ['large', 'small']) {
    const { text } = await createApiKey(database, { tenantId, name: 'e2e', scopes: ['jobs'] });
    clients[tenantId] = createHttpClient(stack, text);
  }
  await database.close();
}, 60_000);
afterAll(() => stack.end());

const call = (more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt: 'One call of many.',
  max_output_tokens: 20,
  ...more,
});
/** Places at the provider, in the order in which calls arrived there. */
const arrivals = (): string[] => provider.calls().map((each) => each.stepId!.split('/')[0]!);

/** Submits one job and answers how many calls of others arrived at the provider before its own. */
async function overtakenBy(client: Client, name: string, more: Record<string, unknown> = {}) {
  const before = arrivals().length;
  const job = await client.submit(name, call(more));
  await waitFor(() => arrivals().includes(job.id), {
    timeoutMs: 40_000,
    intervalMs: 20,
    what: `the call of ${name}`,
  });
  return arrivals().indexOf(job.id) - before;
}

it('a backlog of 2,000 calls of one tenant does not delay another tenant by more than its share', async () => {
  const { large, small } = clients as { large: Client; small: Client };
  const jobs: string[] = [];
  const submitSome = async (worker: number): Promise<void> => {
    for (let index = worker; index < BACKLOG; index += 20) {
      jobs.push((await large.submit(`backlog-${index}`, call())).id);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => submitSome(worker)));

  // In order of arrival it would be more than 1,000. Its share is every other call; besides there are those under way, and those
  // that leave between the request and the step.
  const allowed = 3 * 2 + AT_A_TIME + 15;
  const overtaken: Record<string, number> = {};
  overtaken.first = await overtakenBy(small, 'first');
  overtaken.second = await overtakenBy(small, 'second');
  overtaken.third = await overtakenBy(small, 'third', { max_output_tokens: 40 });
  overtaken.realtime = await overtakenBy(large, 'realtime', { priority: 'realtime' });

  const submittedAt = performance.now();
  await overtakenBy(small, 'background', { priority: 'background' });
  const backgroundMs = performance.now() - submittedAt;
  const waiting = BACKLOG - arrivals().filter((id) => jobs.includes(id)).length;
  console.log(`calls before one's own:`, overtaken, `background after ${Math.round(backgroundMs)} ms`);
  for (const [name, count] of Object.entries(overtaken)) expect(count, name).toBeLessThanOrEqual(allowed);
  // Background waits until it is raised, and not until the backlog is done.
  expect(backgroundMs).toBeGreaterThanOrEqual(AGEING_MS - 500);
  expect(waiting).toBeGreaterThan(100);
  await provider.configure({ latencyMs: 0 });
  await large.allEnded(jobs, 240_000);
}, 360_000);
