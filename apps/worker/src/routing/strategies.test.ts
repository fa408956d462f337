import { joinJournal } from '@millrace/simulator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestWorker } from '../testing/start-test-worker.ts';
import type { TestWorker } from '../testing/start-test-worker.ts';

const LUNA = 'openai/gpt-6-luna';
const SOL = 'openai/gpt-6.1-sol';
const HAIKU = 'anthropic/claude-haiku-5-5';

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({
    config: `routes:
  cheap: {targets: [{target: ${LUNA}}]}
  quality: {targets: [{target: ${SOL}}]}
  telling_nothing: {targets: [{target: ${HAIKU}}]}
`,
  });
});
afterAll(async () => {
  await worker.stop();
});

/** Runs a plan to its end and lists its steps: key, status and target of each, with what all of them cost. */
async function run(plan: Record<string, unknown>) {
  const id = await worker.submit(plan);
  const job = await worker.ended(id);
  const steps = await worker.steps(id);
  expect(job.costMicroUsd).toBe(steps.reduce((sum, step) => sum + step.costMicroUsd, 0));
  return { job, steps, list: steps.map(({ key, status, target }) => [key, status, target]) };
}
const call = (prompt: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt,
  ...more,
});
const escalate = (when: Record<string, unknown>) => ({ to: 'quality', when });

describe('by node', () => {
  it('each call goes where its node says: to a route or to a model', async () => {
    const { job, list } = await run({
      type: 'chain',
      steps: [
        { name: 'draft', ...call('[[sim:reply=draft]]') },
        { name: 'check', type: 'call', model: HAIKU, prompt: '{{ steps.draft }} [[sim:reply=checked]]' },
        { name: 'final', ...call('{{ steps.check }} [[sim:reply=done]]', { route: 'quality' }) },
      ],
    });
    expect(job).toMatchObject({ status: 'completed', output: 'done' });
    expect(list).toEqual([
      ['draft', 'completed', LUNA],
      ['check', 'completed', HAIKU],
      ['final', 'completed', SOL],
    ]);
  });
});

describe('by classifier', () => {
  it.each([
    ['easy', LUNA],
    ['hard', SOL],
  ])('what is classified as %s goes to its branch and nowhere else', async (label, target) => {
    const { job, list } = await run({
      type: 'router',
      classify: call(`Easy or hard? [[sim:reply=${label}]]`),
      routes: {
        easy: call('[[sim:reply=easily]]'),
        hard: call('[[sim:reply=with effort]]', { route: 'quality' }),
      },
    });
    expect(job.status).toBe('completed');
    expect(list).toEqual([
      ['classify', 'completed', LUNA],
      [`route.${label}`, 'completed', target],
    ]);
  });
});

describe('by confidence', () => {
  it('a sure answer stays cheap', async () => {
    const { job, list } = await run(
      call('[[sim:reply=surely so]]', { escalate: escalate({ logprob_below: -0.5 }) }),
    );
    expect(job).toMatchObject({ status: 'completed', output: 'surely so', calls: 1 });
    expect(list).toEqual([['call', 'completed', LUNA]]);
  });

  it('an unsure answer is asked again at the dearer route, and both calls are shown and paid', async () => {
    const { job, steps, list } = await run(
      call('[[sim:reply=perhaps]] [[sim:unsure]]', { escalate: escalate({ logprob_below: -0.5 }) }),
    );
    expect(job).toMatchObject({ status: 'completed', output: 'perhaps', calls: 2 });
    expect(list).toEqual([
      ['call', 'completed', LUNA],
      ['call.escalated', 'completed', SOL],
    ]);
    expect(steps.every(({ costMicroUsd }) => costMicroUsd > 0)).toBe(true);
    expect(steps[1]!.costMicroUsd).toBeGreaterThan(steps[0]!.costMicroUsd);
  });

  it('an answer from a provider that tells no log probabilities counts as unsure', async () => {
    const { list } = await run(
      call('[[sim:reply=well]]', {
        route: 'telling_nothing',
        escalate: escalate({ logprob_below: -0.5 }),
      }),
    );
    expect(list).toEqual([
      ['call', 'completed', HAIKU],
      ['call.escalated', 'completed', SOL],
    ]);
  });

  it('an answer that does not fit its schema is not repaired but asked at the dearer route', async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['mood'],
      properties: { mood: { type: 'string', enum: ['good', 'bad'] } },
    };
    const { job, steps, list } = await run(
      call('All is good. [[sim:fault=invalid_json;model=gpt-6-luna]]', {
        output: { schema },
        escalate: escalate({ schema_invalid: true }),
      }),
    );
    expect(job).toMatchObject({ status: 'completed', output: { mood: 'good' }, calls: 2, error: null });
    expect(list).toEqual([
      ['call', 'failed', LUNA],
      ['call.escalated', 'completed', SOL],
    ]);
    expect(steps[0]).toMatchObject({ error: { code: 'output_invalid' } });
    expect(steps[0]!.attempts).toHaveLength(1);
  });

  it.each([
    [0.9, ['call', 'call.judge']],
    [0.2, ['call', 'call.judge', 'call.escalated']],
  ])('an answer that its judge scores %d makes the steps %j', async (score, keys) => {
    const rubric = `Be fair. [[sim:reply={"score":${score}}]]`;
    const { job, list } = await run(
      call('What carries a river to a wheel?', {
        escalate: escalate({ judge_below: { score: 0.7, by: 'telling_nothing', rubric } }),
      }),
    );
    expect(job.status).toBe('completed');
    expect(list.map(([key]) => key)).toEqual(keys);
    expect(list[1]).toEqual(['call.judge', 'completed', HAIKU]);
  });

  it('works item by item in a map, in one call for each that is sure', async () => {
    const { job, list } = await run({
      type: 'map_reduce',
      items: ['a', 'b [[sim:unsure]]', 'c'],
      map: call('{{ item }} [[sim:reply=note]]', { escalate: escalate({ logprob_below: -0.5 }) }),
      reduce: call('{% for n in items %}{{ n }}{% endfor %} [[sim:reply=all]]'),
    });
    expect(job).toMatchObject({ status: 'completed', output: 'all', calls: 5 });
    expect(list.map(([key]) => key).sort()).toEqual([
      'map[0]',
      'map[1]',
      'map[1].escalated',
      'map[2]',
      'reduce',
    ]);
    const asked = joinJournal(worker.simulator.journal()).filter((entry) =>
      entry.stepId?.includes('map[1].escalated'),
    );
    expect(asked).toHaveLength(1);
  });
});
