import { planNodeSchema } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { advancePlan, createSplitCache, defaultPlanLimits } from './index.ts';
import type { RecordedStep } from './index.ts';
import { call, createMemoryLedger, keysOf, promptOf, wantedOf } from './testing/memory-ledger.ts';

test('a call alone is one step, "call", and its output is the output of the job', async () => {
  const ledger = createMemoryLedger(
    { type: 'call', route: 'cheap', system: 'Be {{ params.tone }}.', prompt: 'Say {{ input.word }}' },
    { input: { word: 'hello' }, params: { tone: 'kind' } },
  );
  expect(wantedOf(await ledger.advance())).toEqual([
    {
      key: 'call',
      eager: true,
      barrier: null,
      request: {
        kind: 'call',
        route: 'cheap',
        model: null,
        system: 'Be kind.',
        messages: [{ role: 'user', content: 'Say hello' }],
        output: null,
        maxOutputTokens: 4096,
        stream: false,
      },
    },
  ]);
  expect(await ledger.advance()).toEqual({ kind: 'suspended', wanted: [], abandoned: [] });
  ledger.complete('call', 'hello');
  expect(await ledger.advance()).toEqual({ kind: 'completed', output: 'hello', abandoned: [] });
});

test('a call asks for the temperature and the top_p of its node', async () => {
  const ledger = createMemoryLedger({
    type: 'call',
    route: 'cheap',
    prompt: 'x',
    temperature: 0,
    top_p: 0.3,
  });
  expect(wantedOf(await ledger.advance())[0]?.request).toMatchObject({ temperature: 0, topP: 0.3 });
});

test('a failed step fails the job with its own error and its key', async () => {
  const ledger = createMemoryLedger(call('x'));
  await ledger.advance();
  ledger.fail('call');
  expect(await ledger.advance()).toEqual({
    kind: 'failed',
    error: { code: 'retries_exhausted', message: 'All attempts failed.', step: 'call' },
    abandoned: [],
  });
});

test('messages are rendered each, roles kept', async () => {
  const ledger = createMemoryLedger(
    {
      type: 'call',
      model: 'openai/x',
      messages: [
        { role: 'user', content: 'A {{ input }}' },
        { role: 'assistant', content: 'B' },
      ],
    },
    { input: 1 },
  );
  const [step] = wantedOf(await ledger.advance());
  expect(step?.request.messages).toEqual([
    { role: 'user', content: 'A 1' },
    { role: 'assistant', content: 'B' },
  ]);
  expect(step?.request.model).toBe('openai/x');
});

test('a system text never sees data, even if the check at intake had let it through', async () => {
  const ledger = createMemoryLedger(call('x', { system: '[{{ input }}{{ steps }}{{ items }}]' }), {
    input: 'secret',
  });
  expect(wantedOf(await ledger.advance())[0]?.request.system).toBe('[]');
});

test('a chain goes on step by step and gives the last output', async () => {
  const ledger = createMemoryLedger({
    type: 'chain',
    steps: [
      { name: 'outline', ...call('Outline {{ input }}') },
      { name: 'draft', ...call('Draft {{ steps.outline }}') },
    ],
  });
  expect(keysOf(await ledger.advance())).toEqual(['outline']);
  ledger.complete('outline', { a: 1 });
  const second = wantedOf(await ledger.advance());
  expect(second.map((step) => step.key)).toEqual(['draft']);
  expect(promptOf(second[0])).toBe('Draft {"a":1}');
  ledger.complete('draft', 'text');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'text' });
});

test('inner nodes see the outer scope, and the inner one wins', async () => {
  const ledger = createMemoryLedger(
    {
      type: 'chain',
      steps: [
        { name: 'a', ...call('1') },
        {
          name: 'b',
          type: 'chain',
          steps: [
            { name: 'a', ...call('2 {{ steps.a }}') },
            { name: 'c', ...call('3 {{ steps.a }} {{ input }}') },
          ],
        },
        { name: 'd', ...call('4 {{ steps.a }} {{ steps.b }} [{{ steps.c }}]') },
      ],
    },
    { input: 'in' },
  );
  await ledger.advance();
  ledger.complete('a', 'outer');
  expect(wantedOf(await ledger.advance()).map((step) => [step.key, promptOf(step)])).toEqual([
    ['b.a', '2 outer'],
  ]);
  ledger.complete('b.a', 'inner');
  expect(promptOf(wantedOf(await ledger.advance())[0])).toBe('3 inner in');
  ledger.complete('b.c', 'end');
  expect(promptOf(wantedOf(await ledger.advance())[0])).toBe('4 outer end []');
});

test('a template that cannot be rendered fails the job with its place', async () => {
  const ledger = createMemoryLedger({
    type: 'chain',
    steps: [
      { name: 'a', ...call('1') },
      { name: 'b', ...call('{{ input | divided_by: 2 | date: "now" }}{{ "now" | date: "%s" }}') },
    ],
  });
  await ledger.advance();
  ledger.complete('a', 'x');
  expect(await ledger.advance()).toMatchObject({
    kind: 'failed',
    error: {
      code: 'template_failed',
      step: 'b',
      message: expect.stringMatching(/^b\.prompt: .*now/) as string,
    },
  });
});

test('prompts that would fill the memory fail the plan', async () => {
  const plan = { type: 'map_reduce', items: [1, 2, 3], map: call('{{ input }}') };
  const ledger = createMemoryLedger(plan, {
    input: 'x'.repeat(1000),
    limits: { maxRenderedCharacters: 2500 },
  });
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { code: 'plan_failed' } });
});

test('a step is eager unless only its barrier can go on with it', async () => {
  const ledger = createMemoryLedger({
    type: 'map_reduce',
    items: [1],
    map: {
      type: 'chain',
      steps: [
        { name: 'first', ...call('1') },
        { name: 'both', type: 'fan_out', branches: { a: call('a'), b: call('b') } },
      ],
    },
  });
  expect(wantedOf(await ledger.advance())).toMatchObject([
    { key: 'map[0].first', eager: true, barrier: null },
  ]);
  ledger.complete('map[0].first', 'x');
  expect(wantedOf(await ledger.advance())).toMatchObject([
    { key: 'map[0].both.a', eager: false, barrier: 'map' },
    { key: 'map[0].both.b', eager: false, barrier: 'map' },
  ]);
});

test('NUL characters and lone surrogates go through', async () => {
  const ledger = createMemoryLedger(
    { type: 'map_reduce', document: { from: 'input' }, split: { max_tokens: 16 }, map: call('{{ item }}') },
    { input: '\0\ud800 '.repeat(200) },
  );
  const wanted = wantedOf(await ledger.advance());
  expect(wanted.length).toBeGreaterThan(1);
  expect(wanted.map(promptOf).join('')).toBe('\0\ufffd '.repeat(200));
});

test('running 10,000 recorded map steps again takes less than 100 ms', async () => {
  const text = Array.from(
    { length: 10_000 },
    (_, index) => `Part ${index} of the long text of the mill.`,
  ).join('\n\n');
  const plan = planNodeSchema.parse({
    type: 'map_reduce',
    document: { text },
    split: { max_tokens: 16 },
    map: call('{{ item }}'),
    reduce: call('{{ items | size }}'),
  });
  const splits = createSplitCache({ maxCharacters: 10_000_000 });
  const steps = new Map<string, RecordedStep>();
  const advance = () =>
    advancePlan({ plan, input: undefined, params: {}, steps, limits: defaultPlanLimits, splits });
  for (const [index, { key }] of wantedOf(await advance()).entries()) {
    steps.set(key, { key, status: 'completed', output: 'note', error: null, ordinal: index + 1 });
  }
  expect(steps.size).toBe(10_000);
  await advance();
  const timesMs: number[] = [];
  for (let run = 0; run < 5; run += 1) {
    // Processor time, because others use this machine too.
    const begin = process.cpuUsage();
    await advance();
    const { user, system } = process.cpuUsage(begin);
    timesMs.push((user + system) / 1_000);
  }
  expect(Math.min(...timesMs)).toBeLessThan(100);
});
