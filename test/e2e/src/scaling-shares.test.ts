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
/** In a round that takes longer some process may have had no time, so the quickest of up to three counts. */
const ROUNDS = 3;

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

/** Calls that workers had at the provider from an instant on: the one that is started again first, then the guests. */
interface UnderWay {
  at: number;
  calls: number[];
}

type Guest = (typeof GUESTS)[number];

/** What each worker had at the provider, from one change to the next. */
function history(): UnderWay[] {
  const moments = provider.calls().flatMap(({ account, at, end }) => {
    const worker = GUESTS.findIndex((guest) => guest.account === account) + 1;
    const begun = { worker, at: Date.parse(at), change: 1 };
    return end ? [begun, { worker, at: Date.parse(end.at), change: -1 }] : [begun];
  });
  moments.sort((one, other) => one.at - other.at);
  let calls = [0, ...GUESTS.map(() => 0)];
  return moments.map(({ worker, at, change }) => {
    calls = calls.map((each, index) => each + (index === worker ? change : 0));
    return { at, calls };
  });
}

const underWay = (): number[] => history().at(-1)?.calls ?? [];

/** The calls of each when the fleet is made up of the worker that is started again and these guests. */
function sharesOf(guests: readonly Guest[]): number[] {
  const share = FLEET / (1 + guests.length);
  return [share, ...GUESTS.map((guest) => (guests.includes(guest) ? share : 0))];
}

/** So long shares last while one call follows the other: not those that happen to be there between two of many changes. */
const LASTING_MS = 50;

/** The first instant after another at which every worker ran so many calls, null without one. */
function firstShared(shares: number[], sinceAt: number): number | null {
  const states = history();
  for (const [index, { at, calls }] of states.entries()) {
    const [fromAt, untilAt] = [Math.max(at, sinceAt), states[index + 1]?.at ?? Date.now()];
    if (calls.join() === shares.join() && untilAt - fromAt >= LASTING_MS) return fromAt;
  }
  return null;
}

/**
 * Waits until every worker runs so many calls, which all the fleet may run between them; answers how long it took by the
 * provider's journal, whenever this process came to read it.
 */
async function shared(shares: number[], timeoutMs: number): Promise<number> {
  const sinceAt = Date.now();
  const reachedAt = await waitFor(() => firstShared(shares, sinceAt), {
    timeoutMs,
    intervalMs: 50,
    what: () => `${shares.join()} calls under way; there are ${underWay().join()}`,
  });
  const count = shares.filter((share) => share > 0).length;
  const processes = async () =>
    ((await client.ask('GET', '/internal/scaling')).body as { actual_processes: number }).actual_processes;
  await waitFor(async () => (await processes()) === count, {
    timeoutMs: REBALANCED_MS,
    what: `${count} processes`,
  });
  return reachedAt - sinceAt;
}

/** More than the fleet does in a round. */
async function submitWork(round: number): Promise<void> {
  await client.submit(`work-${round}`, {
    type: 'map_reduce',
    items: Array.from({ length: 900 }, (_each, index) => index),
    map: { type: 'call', model: 'openai/gpt-6-luna', prompt: 'Item {{ item }}', max_output_tokens: 20 },
  });
}

it('gives the share of a worker that was killed to the others within ten seconds, and takes it back for the next', async () => {
  const [first, second, third] = GUESTS as [Guest, Guest, Guest];
  await spawnWorker(first.key);
  // These two take turns: one is killed, the other one joins.
  let [present, absent] = [second, third];
  let victim = await spawnWorker(present.key);
  const took = { afterDeath: Infinity, afterJoining: Infinity, afterRestart: Infinity };
  for (let round = 1; round <= ROUNDS; round += 1) {
    await submitWork(round);
    await shared(sharesOf([first, present]), 30_000);

    await victim.kill('SIGKILL');
    took.afterDeath = Math.min(took.afterDeath, await shared(sharesOf([first]), 30_000));

    victim = await spawnWorker(absent.key);
    [present, absent] = [absent, present];
    const everybody = sharesOf([first, present]);
    took.afterJoining = Math.min(took.afterJoining, await shared(everybody, 30_000));

    await restartOwn();
    took.afterRestart = Math.min(took.afterRestart, await shared(everybody, 30_000));
    console.log('the quickest so far, in ms until the shares were right:', took);
    if (Object.values(took).every((ms) => ms <= REBALANCED_MS)) break;
  }
  for (const [what, ms] of Object.entries(took)) expect(ms, what).toBeLessThanOrEqual(REBALANCED_MS);
}, 480_000);

/** Kills the worker that is started again, and waits until it is back. */
async function restartOwn(): Promise<void> {
  const starts = (): number => stack.everyLine().filter((line) => /^worker-1 .*"working"/.test(line)).length;
  const before = starts();
  stack.strike('worker-1', 'SIGKILL');
  await waitFor(() => underWay()[0] === 0, { timeoutMs: 5_000, what: 'the calls of the dead to be cut' });
  // The supervisor starts another, which joins once it has started.
  await waitFor(() => starts() > before, { timeoutMs: 30_000, what: 'another to be started' });
}
