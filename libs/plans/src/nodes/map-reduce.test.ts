import { expect, test } from 'vitest';
import { call, createMemoryLedger, keysOf, promptOf, wantedOf } from '../testing/memory-ledger.ts';

test('map steps are asked for at once, in order, and none of them is eager', async () => {
  const ledger = createMemoryLedger({
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
  const two = createMemoryLedger(plan, { input: { list: [1, 2] } });
  await two.advance();
  two.complete('map[1]', 'b');
  two.complete('map[0]', 'a');
  expect(await two.advance()).toMatchObject({ kind: 'completed', output: ['a', 'b'] });
  expect(await createMemoryLedger(plan, { input: { list: [] } }).advance()).toMatchObject({
    kind: 'completed',
    output: [],
  });
});

test('a document is split and its chunks are mapped', async () => {
  const paragraph = 'The mill turns with the river. '.repeat(10).trim();
  const text = Array.from({ length: 6 }, () => paragraph).join('\n\n');
  const ledger = createMemoryLedger(
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
  const ledger = createMemoryLedger(
    { type: 'map_reduce', ...source, map: call('x') },
    { input: { text: 'a', list: [] } },
  );
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { code: 'plan_failed', message } });
});

test('too many items fail the plan', async () => {
  const plan = { type: 'map_reduce', items: [1, 2, 3], map: call('x') };
  expect(await createMemoryLedger(plan, { limits: { maxMapChunks: 2 } }).advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed' },
  });
  expect(await createMemoryLedger(plan, { limits: { maxSteps: 2 } }).advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed', message: 'The plan asks for more than 2 steps.' },
  });
});

test('one failed item fails the map and abandons the open ones', async () => {
  const ledger = createMemoryLedger({ type: 'map_reduce', items: [1, 2, 3], map: call('x') });
  await ledger.advance();
  ledger.fail('map[1]');
  expect(await ledger.advance()).toMatchObject({
    kind: 'failed',
    error: { step: 'map[1]' },
    abandoned: ['map[0]', 'map[2]'],
  });
});

test('notes that do not fit one reduce are reduced in levels', async () => {
  const ledger = createMemoryLedger(
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
  const ledger = createMemoryLedger(
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
  const ledger = createMemoryLedger(
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
