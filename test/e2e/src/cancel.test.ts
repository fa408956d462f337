import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { createHttpClient } from './http-client.ts';
import type { JobObject } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ workers: 2 });
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

it.each(['openai/gpt-6-luna', 'anthropic/claude-haiku-5-5'])(
  'aborts a running call (%s) in another process within a second and tells what was billed',
  async (target) => {
    const client = createHttpClient(stack);
    const provider = simulatedProvider(stack);
    const job = await client.submit(`abort-${target}`, slowCall(target, { model: target }));
    await provider.underWay([job.id], 1);
    await hasShownText(client, job.id);

    const cancelledAt = Date.now();
    const answer = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
    expect(answer.status).toBe(200);
    const cancelled = answer.body as JobObject;
    expect(cancelled.status).toBe('cancelled');
    expect(cancelled.usage.output_tokens).toBeGreaterThan(0);
    expect(cancelled.usage.output_tokens).toBeLessThan(1_200);
    expect(cancelled.usage.input_tokens).toBeGreaterThan(0);
    expect(Number(cancelled.cost_usd)).toBeGreaterThan(0);

    const [call_] = await waitFor(
      () => {
        const calls = provider.callsOf(job.id);
        return calls.every((each) => each.end !== null) && calls;
      },
      { what: 'the provider to notice' },
    );
    expect(call_!.end).toMatchObject({ aborted: true, finished: false });
    expect(Date.parse(call_!.end!.at) - cancelledAt).toBeLessThan(1_000);

    const again = await client.ask('POST', `/v1/jobs/${job.id}/cancel`);
    expect(again).toMatchObject({ status: 200, body: cancelled });
  },
  30_000,
);

it('aborts every call of a map on both workers, sends none of those that waited, and ends the stream', async () => {
  const client = createHttpClient(stack);
  const provider = simulatedProvider(stack);
  const job = await client.submit('abort-map', {
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
  const cancelledAt = Date.now();
  expect(await client.ask('POST', `/v1/jobs/${job.id}/cancel`)).toMatchObject({
    status: 200,
    body: { status: 'cancelled' },
  });
  await waitFor(() => provider.callsOf(job.id).every((call) => call.end !== null), {
    what: 'every call to have ended',
  });
  const calls = provider.callsOf(job.id);
  const latest = Math.max(...calls.map((call) => Date.parse(call.end!.at) - cancelledAt));
  console.log(`${calls.length} calls under way ended within ${latest} ms of the cancel`);
  expect(latest).toBeLessThan(1_000);
  expect(calls.filter((call) => call.end!.finished)).toEqual([]);
  expect(await events).toMatch(/event: job\.cancelled\n[^]*$/);

  // Nothing is sent for it any more.
  const next = await client.submit('after-map', {
    ...slowCall('after', { route: 'cheap' }),
    prompt: '[[sim:reply=on]] Go on.',
  });
  expect(await client.allEnded([next.id], 10_000)).toMatchObject([{ status: 'completed', output: 'on' }]);
  expect(provider.callsOf(job.id)).toHaveLength(calls.length);
}, 40_000);

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
