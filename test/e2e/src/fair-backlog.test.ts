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

const BACKLOG = 10_000;
const WORKERS = 2;
const AT_A_TIME = 4;
/** Calls that workers had taken before: nobody takes them away again. */
const UNDER_WAY = WORKERS * AT_A_TIME;
const CALLS_PER_SECOND = 10;
const MODEL = 'gpt-6-luna';

let stack: TestStack;
let database: Database;
beforeAll(async () => {
  stack = await startTestStack({
    workers: WORKERS,
    // The limit keeps the backlog from being drained: it would take 17 minutes.
    configuration: `pools:
  calls: {targets: [openai/${MODEL}], requests_per_minute: ${CALLS_PER_SECOND * 60}, fixed: true}
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

it('a backlog of 10,000 calls of one tenant delays another tenant’s single call by no more than three times its share', async () => {
  const provider = simulatedProvider(stack);
  const { large, small } = await openTenants(database, (key) => createHttpClient(stack, key));
  const call = { type: 'call', model: `openai/${MODEL}`, prompt: 'One call of many.', max_output_tokens: 20 };
  // Of the next two calls one is its own.
  const most = 3 * 2 + UNDER_WAY;
  /** The time in which so many calls leave, and a second: at the limit's rate, or the lower one at which they left around it. */
  const mostMs = ({ perSecond }: SingleCall) =>
    (most / Math.min(CALLS_PER_SECOND, perSecond)) * 1_000 + 1_000;
  const single = (name: string) =>
    sendSingleCall(
      { stack, client: small, provider, database },
      name,
      call,
      MODEL,
      (each) => each.before <= most && each.servedMs <= mostMs(each),
    );
  const placed = (count: number) =>
    waitFor(async () => (await countSteps(database, 'calls')) >= count, {
      timeoutMs: 60_000,
      intervalMs: 200,
      what: `${count} steps`,
    });

  const startedAt = performance.now();
  const submitting = submitMany(large, BACKLOG, call);
  await placed(BACKLOG / 4);
  const seen = [await single('while it comes in')];
  await submitting;
  await placed(BACKLOG + 1);
  const submittedMs = performance.now() - startedAt;
  seen.push(await single('behind it'), await single('once more'));
  const left = BACKLOG - provider.calls().length;
  console.log(`backlog after ${Math.round(submittedMs)} ms, ${left} of it left:`, seen);

  for (const each of seen) {
    expect(each.before, each.name).toBeLessThanOrEqual(most);
    expect(each.servedMs, each.name).toBeLessThanOrEqual(mostMs(each));
  }
  expect(left).toBeGreaterThan(BACKLOG * 0.8);
}, 240_000);
