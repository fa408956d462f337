import { setTimeout as pause } from 'node:timers/promises';
import { joinJournal, readJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterEach, expect, it } from 'vitest';
import { completedCalls } from './completed-calls.ts';
import { createHttpClient } from './http-client.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
afterEach(() => stack.end());

interface Scaling {
  wanted_processes: number | null;
  actual_processes: number | null;
  pools: Record<string, { wanted_concurrency: number; bottleneck: string; waiting_calls: number }>;
}

const workersOf = (): string[] =>
  stack.processes.map(({ name }) => name).filter((name) => name.startsWith('worker'));

/** Jobs of as many calls as they have items. */
async function submitMaps(
  client: ReturnType<typeof createHttpClient>,
  jobs: number,
  calls: number,
): Promise<string[]> {
  const items = Array.from({ length: calls }, (_each, index) => index);
  const submitted = Array.from({ length: jobs }, (_each, index) =>
    client.submit(`burst-${index}`, {
      type: 'map_reduce',
      items,
      map: { type: 'call', model: 'openai/gpt-6-luna', prompt: 'Item {{ item }}', max_output_tokens: 20 },
    }),
  );
  return (await Promise.all(submitted)).map(({ id }) => id);
}

it('takes workers up for a burst of 2,000 calls and down when it has drained, and loses no call', async () => {
  stack = await startTestStack({
    workers: { least: 1, most: 4 },
    environment: {
      MILLRACE_WORKER_CONCURRENCY: '8',
      // Nothing forces a worker that is not needed any more: its calls may take longer than this.
      MILLRACE_SHUTDOWN_GRACE: '500ms',
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 400, latencyJitterMs: 200 }),
    },
    configuration: 'scaling: {target_wait: {standard: 5s}}',
  });
  const client = createHttpClient(stack);
  expect(workersOf()).toEqual(['worker-1']);
  const jobs = await submitMaps(client, 4, 500);
  const wanted = async () =>
    ((await client.ask('GET', '/internal/scaling')).body as Scaling).wanted_processes ?? 0;
  await waitFor(async () => workersOf().length === 4 && (await wanted()) >= 4, {
    timeoutMs: 60_000,
    what: () => `four workers that are wanted; there are ${workersOf().join(', ')}\n${stack.logs()}`,
  });
  const ended = await client.allEnded(jobs, 150_000);
  expect(ended.map(({ status, error }) => [status, error])).toEqual(jobs.map(() => ['completed', null]));
  const trickle = startTrickle(client);
  await waitFor(() => workersOf().length === 1, {
    timeoutMs: 60_000,
    what: () => `one worker to be left; there are ${workersOf().join(', ')}`,
  });
  await expectNoneLost(client, await trickle.end());

  // Every call was made, and none twice: those that left ended what they had.
  const calls = completedCalls(stack.simulatorJournalPath!);
  expect([...calls.keys()].filter((step) => jobs.includes(step.split('/')[0]!))).toHaveLength(2_000);
  expect([...calls.values()].filter((count) => count > 1)).toEqual([]);
  const started = stack.everyLine().filter((line) => /^worker-[2-4] .*"working"/.test(line));
  expect(started.length).toBeGreaterThanOrEqual(3);
}, 300_000);

/** A call of five seconds every 1.2: never so many that a second worker would be wanted for them. */
function startTrickle(client: ReturnType<typeof createHttpClient>) {
  const ids: string[] = [];
  let flows = true;
  const flowing = (async () => {
    for (let index = 0; flows; index += 1) {
      const request = { type: 'call', model: 'openai/gpt-6-luna', max_output_tokens: 20 };
      const prompt = `Trickle ${index} [[sim:latency=5000]]`;
      ids.push((await client.submit(`trickle-${index}`, { ...request, prompt })).id);
      await pause(1_200);
    }
  })();
  return {
    async end() {
      flows = false;
      await flowing;
      return ids;
    },
  };
}

/** All were called once and answered, some of them by workers that had been told to leave. */
async function expectNoneLost(client: ReturnType<typeof createHttpClient>, ids: string[]): Promise<void> {
  const ended = await client.allEnded(ids, 60_000);
  expect(ended.map(({ status, error }) => [status, error])).toEqual(ids.map(() => ['completed', null]));
  const calls = joinJournal(readJournal(stack.simulatorJournalPath!)).filter((call) =>
    ids.includes((call.stepId ?? '').split('/')[0]!),
  );
  expect(calls.map((call) => call.stepId!.split('/')[0]).toSorted()).toEqual(ids.toSorted());
  expect(calls.filter(({ end }) => end?.status !== 200 || !end.finished)).toEqual([]);
  const lines = stack.everyLine();
  const leaving = lines.slice(lines.findIndex((line) => /^local .*workers have been enough/.test(line)));
  const answered = leaving.filter(
    (line) => /^worker-[2-4] .*"attempt"/.test(line) && ids.some((id) => line.includes(id)),
  );
  console.log(`${ids.length} calls while workers left, ${answered.length} ended by those that left`);
  expect(answered.length).toBeGreaterThanOrEqual(1);
}

it('does not grow while the provider’s limit is what everything waits for, and says when its jobs will be done', async () => {
  stack = await startTestStack({
    workers: { least: 1, most: 4 },
    environment: {
      MILLRACE_WORKER_CONCURRENCY: '16',
      SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 100 }),
    },
    // Two calls a second of a tenth of a second each keep one place busy. One worker's 16 are enough although a call holds its
    // place for five seconds, as it may on a busy machine; without the limit all four workers would be wanted.
    configuration: [
      'scaling: {target_wait: {standard: 200ms}}',
      'pools: {openai: {requests_per_minute: 120, fixed: true}}',
    ].join('\n'),
  });
  const client = createHttpClient(stack);
  const jobs = await submitMaps(client, 1, 120);
  let most = 0;
  let scaling: Scaling | undefined;
  await waitFor(
    async () => {
      most = Math.max(most, workersOf().length);
      scaling = (await client.ask('GET', '/internal/scaling')).body as Scaling;
      return scaling.pools.openai?.bottleneck === 'limit';
    },
    { timeoutMs: 20_000, what: () => `the limit to be seen as the bottleneck: ${JSON.stringify(scaling)}` },
  );
  expect(scaling?.wanted_processes).toBe(1);
  expect(scaling?.pools.openai?.waiting_calls).toBeGreaterThan(50);

  let seen = await client.get(jobs[0]!);
  // A worker that had no processor's time to say that it lives counts as gone until it does, and nobody can tell then.
  await waitFor(async () => (seen = await client.get(jobs[0]!)).progress.eta_seconds !== null, {
    timeoutMs: 5_000,
    what: () => `a forecast: ${JSON.stringify([seen.progress, scaling])}`,
  });
  const seenAt = performance.now();
  expect(seen.progress.queue_position).toBeTypeOf('number');
  const etaSeconds = seen.progress.eta_seconds ?? NaN;
  expect(etaSeconds).toBeGreaterThan(3);

  await waitFor(
    async () => {
      most = Math.max(most, workersOf().length);
      return (await client.get(jobs[0]!)).status === 'completed';
    },
    { timeoutMs: 120_000, intervalMs: 100, what: 'the job to be done' },
  );
  const tookSeconds = (performance.now() - seenAt) / 1_000;
  console.log(`forecast ${etaSeconds} s, took ${tookSeconds.toFixed(1)} s`);
  expect(tookSeconds / etaSeconds).toBeGreaterThan(0.4);
  expect(tookSeconds / etaSeconds).toBeLessThan(2.5);
  expect(most).toBe(1);
  expect(completedCalls(stack.simulatorJournalPath!).size).toBe(120);
}, 200_000);
