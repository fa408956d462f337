import { joinJournal } from '@millrace/simulator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

/** Two limit groups of one account, and a second vendor without limits. */
const config = `pools:
  narrow: {targets: ["openai/gpt-6-luna"], max_concurrent_calls: 2}
  small: {targets: ["openai/gpt-6.1-sol"], tokens_per_minute: 2000, requests_per_minute: 600}
routes:
  narrow: {targets: [{target: openai/gpt-6-luna}]}
  small: {targets: [{target: openai/gpt-6.1-sol}]}
  either: {targets: [{target: openai/gpt-6.1-sol}], fallback: [anthropic/claude-haiku-5-5]}
`;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({ config, simulator: { config: { latencyMs: 100 } } });
});
afterAll(async () => {
  await worker.stop();
});

const call = (route: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route,
  prompt: 'Say yes.',
  ...more,
});

describe('a pool', () => {
  it('has no more calls under way than its limit, and runs all of them', async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => worker.submit(call('narrow'))));
    for (const id of ids) expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
    const calls = joinJournal(worker.simulator.journal()).filter(({ model }) => model === 'gpt-6-luna');
    const moments = calls.flatMap(({ at, end }) => [
      { at: Date.parse(at), change: 1 },
      { at: end ? Date.parse(end.at) : Infinity, change: -1 },
    ]);
    moments.sort((one, other) => one.at - other.at || one.change - other.change);
    let underWay = 0;
    const most = Math.max(...moments.map(({ change }) => (underWay += change)));
    expect(most).toBe(2);
  });

  it('fails a call that no minute can hold, and names the limit', async () => {
    const id = await worker.submit(call('small', { max_output_tokens: 4_000 }));
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      error: { code: 'call_too_large', message: expect.stringContaining('2000') as string },
      calls: 0,
    });
  });

  it('that cannot hold a call leaves it to another target of the route', async () => {
    const id = await worker.submit(call('either', { max_output_tokens: 4_000 }));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
    const [step] = await worker.steps(id);
    expect(step!.attempts.map(({ target }) => target)).toEqual(['anthropic/claude-haiku-5-5']);
  });
});
