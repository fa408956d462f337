import { openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { countSteps, openTenants, sendSingleCall, submitMany } from './single-call.ts';
import type { SingleCall } from './single-call.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const BACKLOG = 150;
const TOKENS = 100_000;
const CALLS_PER_SECOND = 1;
/** Far more than the limit can feed: what workers take too early must not stand before everybody else. */
const AT_A_TIME = 32;
/** So far ahead calls are booked; nobody takes their bookings away again. */
const BOOKED_AHEAD_S = 2;
const MODEL = 'gpt-6-luna';

let stack: TestStack;
let database: Database;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 2,
    configuration: `pools:
  tokens: {targets: [openai/${MODEL}], tokens_per_minute: ${CALLS_PER_SECOND * TOKENS * 60}, fixed: true}
`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: String(AT_A_TIME),
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 50, latencyJitterMs: 0 }),
    },
  });
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

it('few calls of 100,000 tokens delay another tenant’s small call by no more than three times its share', async () => {
  const provider = simulatedProvider(stack);
  const { large, small } = await openTenants(database, (key) => createHttpClient(stack, key));
  const call = (maxOutputTokens: number) => ({
    type: 'call',
    model: `openai/${MODEL}`,
    prompt: 'One call of many.',
    max_output_tokens: maxOutputTokens,
  });
  await submitMany(large, BACKLOG, call(TOKENS));
  const arrived = () => provider.calls().length;
  // Beyond what a pool that was quiet may send at once.
  await waitFor(async () => arrived() >= 8 && (await countSteps(database, 'tokens')) === BACKLOG, {
    timeoutMs: 30_000,
    what: 'the pool to be in its stride',
  });
  // Three times every other call, and those that are booked. Its share in tokens is over before one large call is.
  const most = 3 * 2 + BOOKED_AHEAD_S * CALLS_PER_SECOND;
  const single = (name: string) =>
    sendSingleCall(
      { stack, client: small, provider, database },
      name,
      call(1_000),
      MODEL,
      ({ before }) => before <= most,
    );
  const seen: SingleCall[] = [];
  for (const name of ['first', 'second', 'third']) seen.push(await single(name));
  console.log(`${BACKLOG - arrived()} large calls left:`, seen);
  for (const { name, before } of seen) expect(before, name).toBeLessThanOrEqual(most);
  expect(arrived()).toBeLessThan(BACKLOG / 2);
}, 240_000);
