import { freeze } from '@millrace/infra';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor, withTimeout } from '@millrace/test-support';
import type { SpawnedApp } from '@millrace/test-support';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { listeningUrl, startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/**
 * A worker that is stopped or dies must use up neither attempts nor patience here: one attempt is all there is, so a step
 * whose hand-back counted as an attempt would fail.
 */
const ONE_ATTEMPT = `
retry:
  max_attempts: 1
  max_attempts_per_target: 1
  max_deaths: 1
`;

let stack: TestStack;
beforeAll(async () => {
  // Without a worker of its own: the tests start and stop theirs.
  stack = await startTestStack({ workers: 0, configuration: ONE_ATTEMPT });
});
afterAll(() => stack.end());

const call = (name: string, latencyMs: number) => ({
  type: 'call',
  model: 'openai/gpt-6-luna',
  prompt: `Answer (${name}) [[sim:latency=${latencyMs}]][[sim:reply=answer ${name}]]`,
  max_output_tokens: 20,
});

async function startWorker(graceMs: number): Promise<SpawnedApp> {
  const worker = await stack.spawn('worker', {
    MILLRACE_SHUTDOWN_GRACE: `${graceMs}ms`,
    MILLRACE_WORKER_CONCURRENCY: '16',
  });
  await worker.waitForLine((line) => line.includes('"working"'), 20_000);
  return worker;
}

it('lets a stopped worker finish the calls under way and take no more; another one carries on', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const worker = await startWorker(15_000);
  const underWay = await Promise.all(
    Array.from({ length: 8 }, (_, index) => client.submit(`finish-${index}`, call(`f${index}`, 8_000))),
  );
  const chain = await client.submit('finish-chain', {
    type: 'chain',
    steps: [
      { name: 'first', ...call('chain first', 8_000) },
      { name: 'second', ...call('chain second', 10) },
    ],
  });
  const first = [...underWay.map((job) => job.id), chain.id];
  await provider.underWay(first, 9);

  const stoppedAt = performance.now();
  const exit = worker.kill('SIGTERM');
  // A worker that had no time to read the signal yet would rightly take them.
  await worker.waitForLine((line) => line.includes('"stopping"'));
  const later = await Promise.all(
    Array.from({ length: 4 }, (_, index) => client.submit(`later-${index}`, call(`l${index}`, 10))),
  );
  expect(await withTimeout(exit, 15_000, 'the worker to end')).toEqual({ code: 0, signal: null });
  console.log(`the worker ended ${Math.round(performance.now() - stoppedAt)} ms after SIGTERM`);

  for (const { id } of underWay) {
    expect(await client.get(id)).toMatchObject({
      status: 'completed',
      usage: { calls: 1, ambiguous_calls: 0 },
    });
  }
  for (const { id } of later) expect(provider.callsOf(id)).toEqual([]);
  expect(provider.callsOf(chain.id).filter((each) => each.end?.finished)).toHaveLength(1);

  const second = await startWorker(1_000);
  const ended = await client.allEnded([chain.id, ...later.map((job) => job.id)], 25_000);
  expect(ended.map((job) => [job.status, job.usage.calls])).toEqual([
    ['completed', 2],
    ...later.map(() => ['completed', 1]),
  ]);
  expect(await second.kill('SIGTERM')).toEqual({ code: 0, signal: null });
}, 70_000);

/** To end its calls would take five times as long. */
const HANDED_BACK_MS = 4_000;

it('hands back what is not done within the grace time; no attempt is counted, the next worker takes over at once', async () => {
  let tookMs = await handBack('back');
  // The worker may have had no time, so the quickest of up to three counts.
  for (let rounds = 1; rounds < 3 && tookMs >= HANDED_BACK_MS; rounds += 1) {
    tookMs = await handBack(`back-${rounds}`);
  }
  expect(tookMs).toBeLessThan(HANDED_BACK_MS);
}, 300_000);

/** Stops a worker whose calls outlast its grace time by far and lets another one end them; how long the first took to end. */
async function handBack(name: string): Promise<number> {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const worker = await startWorker(1_000);
  const jobs = await Promise.all(
    Array.from({ length: 8 }, (_, index) => client.submit(`${name}-${index}`, call(`b${index}`, 20_000))),
  );
  const ids = jobs.map((job) => job.id);
  await provider.underWay(ids, 8);
  const next = await startWorker(10_000);

  const stoppedAt = performance.now();
  expect(await withTimeout(worker.kill('SIGTERM'), 15_000, 'the worker to end')).toEqual({
    code: 0,
    signal: null,
  });
  const tookMs = performance.now() - stoppedAt;
  await waitFor(() => ids.every((id) => provider.callsOf(id).length === 2), {
    timeoutMs: 5_000,
    what: 'the calls to be sent again by the other worker',
  });
  const ended = await client.allEnded(ids, 60_000);
  expect(ended.map((job) => [job.status, job.error])).toEqual(ids.map(() => ['completed', null]));
  for (const id of ids) {
    const [step] = await client.steps(id);
    expect(step!.attempts.map((attempt) => attempt.status).sort()).toEqual(['completed', 'interrupted']);
    expect(provider.callsOf(id).filter((each) => each.end?.finished)).toHaveLength(1);
  }
  expect(await next.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  return tookMs;
}

it('lets a drained worker end its calls however long they take, and take no more', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const worker = await startWorker(100);
  const underWay = await client.submit('drain', call('drain', 4_000));
  await provider.underWay([underWay.id], 1);
  const exit = worker.kill('SIGUSR2');
  await worker.waitForLine((line) => line.includes('"draining"'));
  const later = await client.submit('after-drain', call('after', 10));
  expect(await withTimeout(exit, 30_000, 'the worker to end')).toEqual({ code: 0, signal: null });
  expect(provider.callsOf(later.id)).toEqual([]);
  const next = await startWorker(1_000);
  const ended = await client.allEnded([underWay.id, later.id], 30_000);
  expect(ended.map((job) => [job.status, job.usage.calls, job.usage.ambiguous_calls])).toEqual([
    ['completed', 1, 0],
    ['completed', 1, 0],
  ]);
  expect(await next.kill('SIGTERM')).toEqual({ code: 0, signal: null });
}, 70_000);

it('ends a worker that drains within the grace time when it is stopped', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const fleet = async () =>
    ((await client.ask('GET', '/internal/scaling')).body as { actual_processes: number }).actual_processes;
  const worker = await startWorker(500);
  const job = await client.submit('drain-cut', call('cut', 60_000));
  await provider.underWay([job.id], 1);
  await waitFor(async () => (await fleet()) === 1, { timeoutMs: 20_000, what: 'the worker to be counted' });
  const exit = worker.kill('SIGUSR2');
  // None of the fleet any more, though it still has its call.
  await waitFor(async () => (await fleet()) === 0, { timeoutMs: 20_000, what: 'the worker to leave' });
  expect(worker.process.isRunning()).toBe(true);
  worker.process.signal('SIGTERM');
  expect(await withTimeout(exit, 20_000, 'the worker to end')).toEqual({ code: 0, signal: null });
  const [step] = await client.steps(job.id);
  expect(step!.attempts.map((attempt) => attempt.status)).toEqual(['interrupted']);
  expect(await client.ask('POST', `/v1/jobs/${job.id}/cancel`)).toMatchObject({ status: 200 });
}, 60_000);

it('answers long polls and ends event streams when the API is stopped, so that clients resume without a gap', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const worker = await startWorker(10_000);
  const job = await client.submit('watched', {
    ...call('watched', 0),
    prompt: 'Tell it slowly. [[sim:tokens=80]][[sim:tps=20]]',
    max_output_tokens: 400,
    stream: true,
  });
  await provider.underWay([job.id], 1);
  const poll = client.ask('GET', `/v1/jobs/${job.id}`, undefined, { prefer: 'wait=30' });
  const stream = client.send(`/v1/jobs/${job.id}/events`);
  const opened = await stream;
  const beginning = opened.text();
  await waitFor(() => stack.processes.find((each) => each.name === 'api')!.pid !== null, { what: 'an API' });

  stack.strike('api', 'SIGTERM');
  const answer = await withTimeout(poll, 5_000, 'the long poll’s answer');
  expect(answer).toMatchObject({ status: 200, body: { id: job.id, status: 'in_progress' } });
  // A reset would reject here.
  const seen = await withTimeout(beginning, 5_000, 'the end of the stream');
  await waitFor(() => stack.everyLine().find((line) => /api \(process \d+\) ended unexpectedly/.test(line)), {
    timeoutMs: 10_000,
    what: 'the end of the API',
  });
  expect(stack.everyLine().findLast((line) => /api \(process \d+\) ended unexpectedly/.test(line))).toMatch(
    /exit code 0$/,
  );

  const [ended] = await client.allEnded([job.id], 30_000);
  const lastId = [...seen.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? '0';
  const rest = await client.ask('GET', `/v1/jobs/${job.id}/events`, undefined, { 'last-event-id': lastId });
  expect(textOf(seen + rest.text)).toBe(ended!.output);
  expect(rest.text.match(/^event: job\.completed$/gm)).toHaveLength(1);
  expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null });
}, 60_000);

it('hands the lead to another scheduler when the leader is stopped or hangs, within 10 s', async () => {
  const client = createHttpClient(stack);
  const worker = await startWorker(10_000);
  const own = stack.processes.find((each) => each.name === 'scheduler')!;
  await waitFor(() => leads(own.url), { timeoutMs: 10_000, what: 'the scheduler to lead' });
  const second = await stack.spawn('scheduler');
  const secondUrl = await listeningUrl(second);
  await waitFor(async () => !(await leads(secondUrl)), { what: 'the second scheduler to follow' });

  const thaw = freeze(own.pid!);
  const frozenAt = performance.now();
  // Nobody but a leader finds work that Redis has lost.
  const lost = await client.submit('lost', call('lost', 10));
  await forgetQueues();
  await waitFor(() => leads(secondUrl), { timeoutMs: 10_000, what: 'the second scheduler to lead' });
  console.log(`another scheduler led ${Math.round(performance.now() - frozenAt)} ms after the leader hung`);
  expect(await client.allEnded([lost.id], 15_000)).toMatchObject([
    { status: 'completed', output: 'answer lost' },
  ]);
  thaw();
  await waitFor(async () => !(await leads(own.url)), { what: 'the former leader to follow' });
  await waitFor(() => leads(secondUrl), { what: 'the second scheduler to go on leading' });

  const stoppedAt = performance.now();
  expect(await withTimeout(second.kill('SIGTERM'), 5_000, 'the leader to end')).toEqual({
    code: 0,
    signal: null,
  });
  await waitFor(() => leads(own.url), { timeoutMs: 10_000, what: 'the first scheduler to lead again' });
  console.log(
    `another scheduler led ${Math.round(performance.now() - stoppedAt)} ms after the leader was stopped`,
  );
  expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null });
}, 70_000);

async function leads(url: string): Promise<boolean> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2_000) });
  return /^millrace_scheduler_leader(?:\{[^}]*\})? 1$/m.test(await response.text());
}

async function forgetQueues(): Promise<void> {
  const redis = new Redis(stack.redisUrl);
  await redis.flushall();
  await redis.quit();
}

/** The text of all deltas of a stream of events, in order. */
function textOf(stream: string): string {
  return [...stream.matchAll(/^event: step\.delta\ndata: (.*)$/gm)]
    .map(([, data]) => (JSON.parse(data!) as { text: string }).text)
    .join('');
}
