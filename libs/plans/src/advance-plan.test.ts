import { planNodeSchema } from '@millrace/contracts';
import type { Json, PlanNode } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { advancePlan, createSplitCache, defaultPlanLimits } from './index.ts';
import type { Advance, PlanLimits, RecordedStep, WantedStep } from './index.ts';

/** A ledger in miniature: records endings in the order in which the test tells them. */
function createLedger(
  plan: unknown,
  given: { input?: Json; params?: Record<string, Json>; limits?: Partial<PlanLimits> } = {},
) {
  const steps = new Map<string, RecordedStep>();
  const parsed: PlanNode = planNodeSchema.parse(plan);
  let ordinal = 0;
  return {
    steps,
    async advance(): Promise<Advance> {
      const advance = await advancePlan({
        plan: parsed,
        input: given.input,
        params: given.params ?? {},
        steps,
        limits: { ...defaultPlanLimits, ...given.limits },
      });
      if (advance.kind !== 'suspended') return advance;
      for (const { key } of advance.wanted) {
        steps.set(key, { key, status: 'open', output: null, error: null, ordinal: null });
      }
      return advance;
    },
    complete(key: string, output: Json) {
      ordinal += 1;
      steps.set(key, { key, status: 'completed', output, error: null, ordinal });
    },
    fail(key: string) {
      ordinal += 1;
      const error = { code: 'retries_exhausted', message: 'All attempts failed.' };
      steps.set(key, { key, status: 'failed', output: null, error, ordinal });
    },
  };
}

function wantedOf(advance: Advance): WantedStep[] {
  if (advance.kind !== 'suspended') throw new Error(`the plan is ${JSON.stringify(advance)}`);
  return advance.wanted;
}
const keysOf = (advance: Advance) => wantedOf(advance).map((step) => step.key);
const promptOf = (step: WantedStep | undefined) => step?.request.messages[0]?.content;
const call = (prompt: string, more: object = {}) => ({ type: 'call', route: 'cheap', prompt, ...more });

test('a call alone is one step, "call", and its output is the output of the job', async () => {
  const ledger = createLedger(
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

test('a failed step fails the job with its own error and its key', async () => {
  const ledger = createLedger(call('x'));
  await ledger.advance();
  ledger.fail('call');
  expect(await ledger.advance()).toEqual({
    kind: 'failed',
    error: { code: 'retries_exhausted', message: 'All attempts failed.', step: 'call' },
    abandoned: [],
  });
});

test('messages are rendered each, roles kept', async () => {
  const ledger = createLedger(
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
  const ledger = createLedger(call('x', { system: '[{{ input }}{{ steps }}{{ items }}]' }), {
    input: 'secret',
  });
  expect(wantedOf(await ledger.advance())[0]?.request.system).toBe('[]');
});

test('a chain goes on step by step and gives the last output', async () => {
  const ledger = createLedger({
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
  const ledger = createLedger(
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
  const ledger = createLedger({
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

test('map steps are asked for at once, in order, and none of them is eager', async () => {
  const ledger = createLedger({
    type: 'map_reduce',
    items: ['a', { b: 1 }],
    map: call('{{ index }}: {{ item }}'),
    reduce: call('{% for n in items %}{{ n }};{% endfor %}'),
  });
  const wanted = wantedOf(await ledger.advance());
  expect(wanted.map((step) => [step.key, promptOf(step), step.eager, step.barrier])).toEqual([
    ['map[0]', '0: a', false, 'map'],
    ['map[1]', '1: {"b":1}', false, 'map'],
  ]);
  ledger.complete('map[1]', 'two');
  expect(keysOf(await ledger.advance())).toEqual([]);
  ledger.complete('map[0]', 'one');
  const reduce = wantedOf(await ledger.advance());
  expect(reduce.map((step) => [step.key, promptOf(step), step.eager])).toEqual([
    ['reduce', 'one;two;', true],
  ]);
  ledger.complete('reduce', 'all');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'all' });
});

test('without reduce the output is the list of map outputs, empty for no items', async () => {
  const plan = { type: 'map_reduce', items: { from: 'input.list' }, map: call('{{ item }}') };
  const two = createLedger(plan, { input: { list: [1, 2] } });
  await two.advance();
  two.complete('map[1]', 'b');
  two.complete('map[0]', 'a');
  expect(await two.advance()).toMatchObject({ kind: 'completed', output: ['a', 'b'] });
  expect(await createLedger(plan, { input: { list: [] } }).advance()).toMatchObject({
    kind: 'completed',
    output: [],
  });
});

test('a document is split and its chunks are mapped', async () => {
  const paragraph = 'The mill turns with the river. '.repeat(10).trim();
  const text = Array.from({ length: 6 }, () => paragraph).join('\n\n');
  const ledger = createLedger(
    {
      type: 'map_reduce',
      document: { from: 'input.text' },
      split: { max_tokens: 150 },
      map: call('{{ item }}'),
    },
    { input: { text } },
  );
  const wanted = wantedOf(await ledger.advance());
  expect(wanted.map((step) => step.key)).toEqual(['map[0]', 'map[1]', 'map[2]']);
  expect(wanted.map(promptOf).join('')).toBe(text);
});

test.each([
  ['items', { items: { from: 'input.text' } }, '"input.text" is a text, not a list.'],
  ['document', { document: { from: 'input.list' } }, '"input.list" is a list, not a text.'],
  ['nothing', { document: { from: 'input.constructor' } }, '"input.constructor" is nothing, not a text.'],
])('a path to the wrong thing fails the plan and names the path: %s', async (_name, source, message) => {
  const ledger = createLedger(
    { type: 'map_reduce', ...source, map: call('x') },
    { input: { text: 'a', list: [] } },
  );
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { code: 'plan_failed', message } });
});

test('too many items fail the plan', async () => {
  const plan = { type: 'map_reduce', items: [1, 2, 3], map: call('x') };
  expect(await createLedger(plan, { limits: { maxMapChunks: 2 } }).advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed' },
  });
  expect(await createLedger(plan, { limits: { maxSteps: 2 } }).advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed', message: 'The plan asks for more than 2 steps.' },
  });
});

test('prompts that would fill the memory fail the plan', async () => {
  const plan = { type: 'map_reduce', items: [1, 2, 3], map: call('{{ input }}') };
  const ledger = createLedger(plan, { input: 'x'.repeat(1000), limits: { maxRenderedCharacters: 2500 } });
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { code: 'plan_failed' } });
});

test('one failed item fails the map and abandons the open ones', async () => {
  const ledger = createLedger({ type: 'map_reduce', items: [1, 2, 3], map: call('x') });
  await ledger.advance();
  ledger.fail('map[1]');
  expect(await ledger.advance()).toMatchObject({
    kind: 'failed',
    error: { step: 'map[1]' },
    abandoned: ['map[0]', 'map[2]'],
  });
});

test('notes that do not fit one reduce are reduced in levels', async () => {
  const ledger = createLedger(
    {
      type: 'map_reduce',
      items: [0, 1, 2, 3, 4],
      map: call('x'),
      reduce: call('Combine:{% for n in items %} {{ n }}{% endfor %}'),
    },
    { limits: { reduceInputTokens: 60 } },
  );
  await ledger.advance();
  const note = 'word '.repeat(25).trim();
  for (let index = 0; index < 5; index += 1) ledger.complete(`map[${index}]`, note);
  const level1 = wantedOf(await ledger.advance());
  expect(level1.map((step) => [step.key, step.eager])).toEqual([
    ['reduce[1][0]', false],
    ['reduce[1][1]', false],
  ]);
  ledger.complete('reduce[1][1]', 'second');
  ledger.complete('reduce[1][0]', 'first');
  const last = wantedOf(await ledger.advance());
  expect(last.map((step) => [step.key, promptOf(step)])).toEqual([
    ['reduce', `Combine: first second ${note}`],
  ]);
  ledger.complete('reduce', 'done');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'done' });
});

test('a reduce of several steps is reduced in levels as well', async () => {
  const reduce = {
    type: 'chain',
    steps: [
      { name: 'merge', ...call('{{ items | join: "+" }}') },
      { name: 'polish', ...call('Polish {{ steps.merge }}') },
    ],
  };
  const ledger = createLedger(
    { type: 'map_reduce', items: [0, 1, 2, 3], map: call('x'), reduce },
    { limits: { reduceInputTokens: 60 } },
  );
  await ledger.advance();
  for (let index = 0; index < 4; index += 1) ledger.complete(`map[${index}]`, 'word '.repeat(25));
  expect(keysOf(await ledger.advance())).toEqual(['reduce[1][0].merge', 'reduce[1][1].merge']);
  ledger.complete('reduce[1][0].merge', 'm0');
  expect(keysOf(await ledger.advance())).toEqual(['reduce[1][0].polish']);
  ledger.complete('reduce[1][0].polish', 'p0');
  ledger.complete('reduce[1][1].merge', 'm1');
  await ledger.advance();
  ledger.complete('reduce[1][1].polish', 'p1');
  expect(promptOf(wantedOf(await ledger.advance())[0])).toBe('p0+p1');
});

test('a note that does not fit alone fails the plan', async () => {
  const ledger = createLedger(
    { type: 'map_reduce', items: [0, 1], map: call('x'), reduce: call('{{ items }}') },
    { limits: { reduceInputTokens: 60 } },
  );
  await ledger.advance();
  ledger.complete('map[0]', 'short');
  ledger.complete('map[1]', 'word '.repeat(100));
  expect(await ledger.advance()).toMatchObject({
    kind: 'failed',
    error: {
      code: 'plan_failed',
      message: 'Note 1 alone does not fit the 60 tokens that one reduce may read.',
    },
  });
});

test.each([
  ['  Billing \n', 'route.billing'],
  ['The category is "billing".', 'route.billing'],
  [{ label: 'TECH-support' }, 'route.tech-support'],
  ['tech', 'route.tech'],
  [1, 'route.1'],
])('a router takes the route that the answer %j names', async (answer, key) => {
  const routes = { billing: call('b'), 'tech-support': call('t'), tech: call('t'), 1: call('one') };
  const ledger = createLedger({ type: 'router', classify: call('Which?'), routes });
  expect(keysOf(await ledger.advance())).toEqual(['classify']);
  ledger.complete('classify', answer);
  expect(keysOf(await ledger.advance())).toEqual([key]);
  ledger.complete(key, 'done');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'done' });
});

test.each([
  ['billing or tech'],
  ['neither'],
  [`${'word '.repeat(60)} billing`],
  [{ category: 'billing' }],
  [null],
])('an answer that names no route, or several, takes the default or fails the plan: %j', async (answer) => {
  const plan = { type: 'router', classify: call('?'), routes: { billing: call('b'), tech: call('t') } };
  const ledger = createLedger({ ...plan, default: call('d') });
  await ledger.advance();
  ledger.complete('classify', answer);
  expect(keysOf(await ledger.advance())).toEqual(['default']);

  const strict = createLedger(plan);
  await strict.advance();
  strict.complete('classify', answer);
  expect(await strict.advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed', message: expect.stringContaining('billing, tech') as string },
  });
});

test('a fan-out gives an object of named branches, or a list of like ones', async () => {
  const named = createLedger({ type: 'fan_out', branches: { a: call('1'), b: call('2') } });
  expect(wantedOf(await named.advance()).map((step) => [step.key, step.eager])).toEqual([
    ['a', false],
    ['b', false],
  ]);
  named.complete('b', 'B');
  named.complete('a', 'A');
  expect(await named.advance()).toMatchObject({ kind: 'completed', output: { a: 'A', b: 'B' } });

  const counted = createLedger({ type: 'fan_out', count: 2, node: call('x') });
  expect(keysOf(await counted.advance())).toEqual(['branch[0]', 'branch[1]']);
  counted.complete('branch[1]', 'B');
  counted.complete('branch[0]', 'A');
  expect(await counted.advance()).toMatchObject({ kind: 'completed', output: ['A', 'B'] });
});

test('all: the failure that was recorded first is the reason, and further branches ask for nothing', async () => {
  const b = {
    type: 'chain',
    steps: [
      { name: 'x', ...call('1') },
      { name: 'y', ...call('2') },
    ],
  };
  const ledger = createLedger({ type: 'fan_out', branches: { a: call('1'), b, c: call('3') } });
  await ledger.advance();
  ledger.complete('b.x', 'done');
  ledger.fail('c');
  ledger.fail('a');
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { step: 'c' }, abandoned: [] });
});

test('first_valid: the branch that ended first wins, whatever is recorded later', async () => {
  const ledger = createLedger({
    type: 'chain',
    steps: [
      {
        name: 'race',
        type: 'fan_out',
        join: 'first_valid',
        branches: { a: call('1'), b: call('2'), c: call('3') },
      },
      { name: 'next', ...call('{{ steps.race }}') },
    ],
  });
  expect(wantedOf(await ledger.advance()).every((step) => step.eager)).toBe(true);
  ledger.fail('race.c');
  expect(keysOf(await ledger.advance())).toEqual([]);
  ledger.complete('race.b', 'B');
  const chosen = await ledger.advance();
  expect(chosen).toMatchObject({ kind: 'suspended', wanted: [{ key: 'next' }], abandoned: ['race.a'] });
  ledger.complete('race.a', 'A');
  ledger.complete('next', 'end');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'end' });
  ledger.steps.delete('next');
  expect(promptOf(wantedOf(await ledger.advance())[0])).toBe('B');
});

test('first_valid: a branch of several steps counts by its last one, and losers ask for nothing more', async () => {
  const long = {
    type: 'chain',
    steps: [
      { name: 'x', ...call('1') },
      { name: 'y', ...call('2') },
    ],
  };
  const ledger = createLedger({ type: 'fan_out', join: 'first_valid', branches: { long, short: call('s') } });
  await ledger.advance();
  ledger.complete('long.x', 'x');
  ledger.complete('short', 'S');
  expect(await ledger.advance()).toEqual({ kind: 'completed', output: 'S', abandoned: [] });
  ledger.complete('long.y', 'L');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'S' });
});

test.each(['first_valid', 'vote', { judge: call('j') }])(
  'a fan-out whose branches all fail has no usable answer: %j',
  async (join) => {
    const ledger = createLedger({ type: 'fan_out', join, count: 2, node: call('x') });
    await ledger.advance();
    ledger.fail('branch[1]');
    expect((await ledger.advance()).kind).toBe('suspended');
    ledger.fail('branch[0]');
    expect(await ledger.advance()).toMatchObject({
      kind: 'failed',
      error: { code: 'no_branch_succeeded', message: expect.stringContaining('retries_exhausted') as string },
    });
  },
);

test.each([
  [['yes', ' YES\n', 'no'], 'yes'],
  [['no', 'yes'], 'no'],
  [[{ a: 1, b: 2 }, 'x', { b: 2, a: 1 }], { a: 1, b: 2 }],
  [['1', 1, 1], 1],
])('vote: of %j it is %j', async (votes, output) => {
  const ledger = createLedger({ type: 'fan_out', join: 'vote', count: votes.length, node: call('x') });
  await ledger.advance();
  for (const [index, vote] of votes.entries()) {
    expect((await ledger.advance()).kind).toBe('suspended');
    ledger.complete(`branch[${index}]`, vote);
  }
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output });
});

test('vote: failed branches do not vote', async () => {
  const ledger = createLedger({ type: 'fan_out', join: 'vote', count: 3, node: call('x') });
  await ledger.advance();
  ledger.fail('branch[0]');
  ledger.complete('branch[2]', 'late');
  ledger.complete('branch[1]', 'early');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'early' });
});

test('judge: it sees the outputs in branch order and by name, without the failed ones', async () => {
  const ledger = createLedger({
    type: 'fan_out',
    branches: { a: call('1'), b: call('2'), c: call('3') },
    join: { judge: call('{{ items | join: "," }} {{ steps.a }} [{{ steps.b }}]') },
  });
  await ledger.advance();
  ledger.complete('c', 'C');
  ledger.fail('b');
  ledger.complete('a', 'A');
  const wanted = wantedOf(await ledger.advance());
  expect(wanted.map((step) => [step.key, promptOf(step), step.eager])).toEqual([['judge', 'A,C A []', true]]);
  ledger.complete('judge', 'A is better');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'A is better' });
});

test('a step is eager unless only its barrier can go on with it', async () => {
  const ledger = createLedger({
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
  const ledger = createLedger(
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
    const begin = performance.now();
    await advance();
    timesMs.push(performance.now() - begin);
  }
  expect(Math.min(...timesMs)).toBeLessThan(100);
});
