import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { createHttpClient } from './http-client.ts';
import type { JobObject } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
beforeAll(async () => {
  // A heartbeat, which finds a cancelled call, too, comes every twenty seconds then.
  stack = await startTestStack({ workers: 2, environment: { MILLRACE_LEASE: '60s' } });
});
afterAll(() => stack.end());

/** Would run for a minute; by the time of the cancel it has said something that is billed. */
const slowCall = (name: string, target: { route: string } | { model: string }) => ({
  type: 'call',
  ...target,
  prompt: `Tell a long story (${name}). [[sim:tokens=1200]][[sim:tps=20]]`,
  max_output_tokens: 2_000,
  stream: true,
});

/** In a round that takes longer some process may have had no time, so the quickest of up to three counts. */
const ROUNDS = 3;
const WITHIN_MS = 1_000;

it.each(['openai/gpt-6-luna', 'anthropic/claude-haiku-5-5'])(
  'aborts a running call (%s) in another process within a second and tells what was billed',
  async (target) => {
    let round = await abortCall(target, `abort-${target}`);
    for (let rounds = 1; rounds < ROUNDS && !wasPrompt(round); rounds += 1) {
      round = await abortCall(target, `abort-${target}-${rounds}`);
    }
    const { cancelled, again, tookMs } = round;
    expect(tookMs).toBeLessThan(WITHIN_MS);
    expect(cancelled.usage.output_tokens).toBeGreaterThan(0);
    expect(cancelled.usage.output_tokens).toBeLessThan(1_200);
    expect(cancelled.usage.input_tokens).toBeGreaterThan(0);
    expect(Number(cancelled.cost_usd)).toBeGreaterThan(0);
    expect(again).toMatchObject({ status: 200, body: cancelled });
  },
  90_000,
);

const wasPrompt = ({ cancelled, tookMs }: { cancelled: JobObject; tookMs: number }): boolean =>
  tookMs < WITHIN_MS && cancelled.usage.output_tokens > 0;

/** Cancels a call that is under way and has said something; how long after the job's end the provider saw that nobody listens. */
async function abortCall(target: string, name: string) {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const job = await client.submit(name, slowCall(name, { model: target }));
  await provider.underWay([job.id], 1);
  await hasShownText(client, job.id);

  const answer = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
  expect(answer).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  const cancelled = answer.body as JobObject;
  const tookMs = await lastEndMs(job.id, cancelled);
  expect(provider.callsOf(job.id)).toMatchObject([{ end: { aborted: true, finished: false } }]);
  const again = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
  return { cancelled, again, tookMs };
}

/** Waits until every call of a cancelled job has ended; how long after the job the last one did. */
async function lastEndMs(jobId: string, cancelled: JobObject): Promise<number> {
  const calls = await waitFor(
    () => {
      const all = simulatedProvider(stack).callsOf(jobId);
      return all.every((each) => each.end !== null) && all;
    },
    { timeoutMs: 30_000, what: 'every call to have ended' },
  );
  const latestAt = Math.max(...calls.map((each) => Date.parse(each.end!.at)));
  return latestAt - Date.parse(cancelled.finished_at!);
}

it('aborts every call of a map on both workers, sends none of those that waited, and ends the stream', async () => {
  let tookMs = await abortMap('abort-map');
  for (let rounds = 1; rounds < ROUNDS && tookMs >= WITHIN_MS; rounds += 1) {
    tookMs = await abortMap(`abort-map-${rounds}`);
  }
  expect(tookMs).toBeLessThan(WITHIN_MS);
}, 120_000);

/** Cancels a map of which half is under way, with all that is due then; how long after its end the last call had ended. */
async function abortMap(name: string): Promise<number> {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const job = await client.submit(name, {
    type: 'map_reduce',
    items: Array.from({ length: 200 }, (_, item) => `item ${item}`),
    map: { ...slowCall('{{ item }}', { route: 'cheap' }) },
    reduce: {
      type: 'call',
      route: 'quality',
      prompt: 'Combine {{ items | size }} notes',
      max_output_tokens: 10,
    },
  });
  const events = client.send(`/v1/jobs/${job.id}/events`).then((response) => response.text());
  await provider.underWay([job.id], 100);
  const answer = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
  expect(answer).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  const tookMs = await lastEndMs(job.id, answer.body as JobObject);
  const calls = provider.callsOf(job.id);
  console.log(`${calls.length} calls under way ended within ${tookMs} ms of the cancel`);
  expect(calls.filter((call) => call.end!.finished)).toEqual([]);
  expect(await events).toMatch(/event: job\.cancelled\n[^]*$/);

  // Nothing is sent for it any more.
  const next = await client.submit(`after-${name}`, {
    ...slowCall('after', { route: 'cheap' }),
    prompt: '[[sim:reply=on]] Go on.',
  });
  expect(await client.allEnded([next.id], 10_000)).toMatchObject([{ status: 'completed', output: 'on' }]);
  expect(provider.callsOf(job.id)).toHaveLength(calls.length);
  return tookMs;
}

it('leaves a job that has ended as it is', async () => {
  const client = createHttpClient(stack);
  const job = await client.submit('ended', {
    type: 'call',
    route: 'cheap',
    prompt: 'Say done. [[sim:reply=done]]',
    max_output_tokens: 10,
  });
  const [ended] = await client.allEnded([job.id], 10_000);
  const answer = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
  expect(answer).toMatchObject({ status: 200, body: { status: 'completed', output: 'done' } });
  expect(answer.body).toEqual(ended);
}, 20_000);

async function hasShownText(client: ReturnType<typeof createHttpClient>, jobId: string): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  const response = await client.send(`/v1/jobs/${jobId}/events`, { signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let seen = ''; !seen.includes('step.delta');) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended without text: ${seen}`);
    seen += value;
  }
  await reader.cancel();
}
