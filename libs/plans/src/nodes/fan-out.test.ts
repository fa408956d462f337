import { expect, test } from 'vitest';
import { call, createMemoryLedger, keysOf, promptOf, wantedOf } from '../testing/memory-ledger.ts';

test('a fan-out gives an object of named branches, or a list of like ones', async () => {
  const named = createMemoryLedger({ type: 'fan_out', branches: { a: call('1'), b: call('2') } });
  expect(wantedOf(await named.advance()).map((step) => [step.key, step.eager])).toEqual([
    ['a', false],
    ['b', false],
  ]);
  named.complete('b', 'B');
  named.complete('a', 'A');
  expect(await named.advance()).toMatchObject({ kind: 'completed', output: { a: 'A', b: 'B' } });

  const counted = createMemoryLedger({ type: 'fan_out', count: 2, node: call('x') });
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
  const ledger = createMemoryLedger({ type: 'fan_out', branches: { a: call('1'), b, c: call('3') } });
  await ledger.advance();
  ledger.complete('b.x', 'done');
  ledger.fail('c');
  ledger.fail('a');
  expect(await ledger.advance()).toMatchObject({ kind: 'failed', error: { step: 'c' }, abandoned: [] });
});

test('first_valid: the branch that ended first wins, whatever is recorded later', async () => {
  const ledger = createMemoryLedger({
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
  const ledger = createMemoryLedger({
    type: 'fan_out',
    join: 'first_valid',
    branches: { long, short: call('s') },
  });
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
    const ledger = createMemoryLedger({ type: 'fan_out', join, count: 2, node: call('x') });
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
  const ledger = createMemoryLedger({ type: 'fan_out', join: 'vote', count: votes.length, node: call('x') });
  await ledger.advance();
  for (const [index, vote] of votes.entries()) {
    expect((await ledger.advance()).kind).toBe('suspended');
    ledger.complete(`branch[${index}]`, vote);
  }
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output });
});

test('vote: failed branches do not vote', async () => {
  const ledger = createMemoryLedger({ type: 'fan_out', join: 'vote', count: 3, node: call('x') });
  await ledger.advance();
  ledger.fail('branch[0]');
  ledger.complete('branch[2]', 'late');
  ledger.complete('branch[1]', 'early');
  expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: 'early' });
});

test('judge: it sees the outputs in branch order and by name, without the failed ones', async () => {
  const ledger = createMemoryLedger({
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
