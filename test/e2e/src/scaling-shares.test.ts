import { accountOf } from '@millrace/simulator';
import type { SpawnedApp } from '@millrace/test-support';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { listeningUrl, startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** What docs/operations.md promises: so long after a worker joined or died, the others have their new shares. */
const REBALANCED_MS = 10_000;
/** Calls at a time that the whole fleet may run; one worker could carry all of them. */
const FLEET = 12;

let stack: TestStack;
let provider: SimulatedProvider;
let client: ReturnType<typeof createHttpClient>;
beforeAll(async () => {
  stack = await startTestStack({
    // This one is started again when it dies, the others are not.
    workers: 1,
    configuration: `scaling: {max_concurrency: ${FLEET}}`,
    environment: {
      MILLRACE_WORKER_CONCURRENCY: String(FLEET),
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 1_500 }),
    },
  });
  provider = simulatedProvider(stack);
  client = createHttpClient(stack);
}, 60_000);
afterAll(() => stack.end());

/** A worker with a key of its own, so that the provider's journal tells whose calls are whose. */
async function spawnWorker(key: string): Promise<SpawnedApp> {
  const app = await stack.spawn('worker', {
    OPENAI_API_KEY: key,
    MILLRACE_WORKER_CONCURRENCY: String(FLEET),
  });
  await listeningUrl(app);
  return app;
}

const GUESTS = ['key-of-the-first', 'key-of-the-second', 'key-of-the-third'].map((key) => ({
  key,
  account: accountOf(key),
}));

/** Calls that each worker has at the provider: the one that is started again first, then the guests. */
function underWay(): number[] {
  const open = provider.calls().filter(({ end }) => end === null);
  const ofGuests = GUESTS.map(({ account }) => open.filter((call) => call.account === account).length);
  return [open.length - ofGuests.reduce((sum, each) => sum + each, 0), ...ofGuests];
}

/** Waits until every worker runs so many calls, which all the fleet may run between them; answers how long it took. */
async function shared(shares: number[], timeoutMs: number): Promise<number> {
  const startedAt = performance.now();
  let seen: number[] = [];
  await waitFor(
    async () => {
      seen = underWay();
      if (seen.join() !== shares.join()) return false;
      const { body } = await client.ask('GET', '/internal/scaling');
      const { actual_processes: processes } = body as { actual_processes: number };
      return processes === shares.filter((share) => share > 0).length;
    },
    { timeoutMs, intervalMs: 50, what: () => `${shares.join()} calls under way; there are ${seen.join()}` },
  );
  return performance.now() - startedAt;
}

it('gives the share of a worker that was killed to the others within ten seconds, and takes it back for the next', async () => {
  const [first, second, third] = GUESTS as [
    (typeof GUESTS)[number],
    (typeof GUESTS)[number],
    (typeof GUESTS)[number],
  ];
  await spawnWorker(first.key);
  const victim = await spawnWorker(second.key);
  await client.submit('work', {
    type: 'map_reduce',
    items: Array.from({ length: 900 }, (_each, index) => index),
    map: { type: 'call', model: 'openai/gpt-6-luna', prompt: 'Item {{ item }}', max_output_tokens: 20 },
  });
  await shared([4, 4, 4, 0], 30_000);

  await victim.kill('SIGKILL');
  const afterDeath = await shared([6, 6, 0, 0], 30_000);

  await spawnWorker(third.key);
  const afterJoining = await shared([4, 4, 0, 4], 30_000);

  stack.strike('worker-1', 'SIGKILL');
  await waitFor(() => underWay()[0] === 0, { timeoutMs: 5_000, what: 'the calls of the dead to be cut' });
  // The supervisor starts another, which joins once it has started.
  const starts = (): number => stack.everyLine().filter((line) => /^worker-1 .*"working"/.test(line)).length;
  await waitFor(() => starts() === 2, { timeoutMs: 30_000, what: 'another to be started' });
  const afterRestart = await shared([4, 4, 0, 4], 30_000);

  const took = { afterDeath, afterJoining, afterRestart };
  console.log('ms until the shares were right:', took);
  for (const [what, ms] of Object.entries(took)) expect(ms, what).toBeLessThanOrEqual(REBALANCED_MS);
}, 180_000);
