import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker } from './testing/start-test-worker.ts';
import type { TestWorker } from './testing/start-test-worker.ts';

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker();
});
afterAll(async () => {
  await worker.stop();
});

const call = (prompt: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt,
  ...more,
});

describe('a job runs to its end', () => {
  it('runs a single call and bills it', async () => {
    const id = await worker.submit(call('Say hello. [[sim:reply=hello there]]'));
    const job = await worker.ended(id);
    expect(job).toMatchObject({
      status: 'completed',
      output: 'hello there',
      calls: 1,
      ambiguousCalls: 0,
      error: null,
    });
    expect(job.costMicroUsd).toBeGreaterThan(0);
    const [step] = await worker.steps(id);
    expect(step).toMatchObject({ key: 'call', status: 'completed', target: 'openai/gpt-6-luna' });
    expect(step!.attempts).toHaveLength(1);
  });

  it('carries a chain through its steps', async () => {
    const id = await worker.submit({
      type: 'chain',
      steps: [
        { name: 'one', ...call('[[sim:reply=first]]') },
        { name: 'two', ...call('{{ steps.one }} then [[sim:reply=second]]') },
      ],
    });
    expect(await worker.ended(id)).toMatchObject({
      status: 'completed',
      output: 'second',
      calls: 2,
      stepsDone: 2,
    });
  });

  it('maps and reduces', async () => {
    const id = await worker.submit({
      type: 'map_reduce',
      items: ['a', 'b', 'c', 'd'],
      map: call('Item {{ item }} [[sim:reply=note]]'),
      reduce: call('Combine {% for n in items %}{{ n }} {% endfor %} [[sim:reply=all]]'),
    });
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'all', calls: 5 });
  });

  it('retries what the provider failed and tells how often it sent the step', async () => {
    const id = await worker.submit(call('[[sim:fault=server_error;times=2]] [[sim:reply=made it]]'));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'made it', calls: 3 });
    const [step] = await worker.steps(id);
    expect(step!.attempts.map((attempt) => attempt.status)).toEqual(['failed', 'failed', 'completed']);
  });

  it('keeps characters that PostgreSQL cannot have in text', async () => {
    const id = await worker.submit({
      ...call('{{ input }} [[sim:reply=ok]]'),
      input: 'nul \u0000 and half \ud800 pair',
    });
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'ok' });
  });

  it('finds a job whose wake was lost', async () => {
    const id = await worker.submit(call('[[sim:reply=found]]'), { wake: false });
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'found' });
  });

  // Last, because it parks the pool of openai.
  it('falls over to the next target when the account has no quota', async () => {
    const id = await worker.submit(
      call('[[sim:fault=insufficient_quota;times=1]] [[sim:reply=from elsewhere]]'),
    );
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', output: 'from elsewhere', calls: 2 });
    const [step] = await worker.steps(id);
    expect(step!.attempts.map((attempt) => attempt.target)).toEqual([
      'openai/gpt-6-luna',
      'anthropic/claude-haiku-5-5',
    ]);
  });
});
