import { expect, test } from 'vitest';
import { call, createMemoryLedger, keysOf } from '../testing/memory-ledger.ts';

test.each([
  ['  Billing \n', 'route.billing'],
  ['The category is "billing".', 'route.billing'],
  [{ label: 'TECH-support' }, 'route.tech-support'],
  ['tech', 'route.tech'],
  [1, 'route.1'],
])('a router takes the route that the answer %j names', async (answer, key) => {
  const routes = { billing: call('b'), 'tech-support': call('t'), tech: call('t'), 1: call('one') };
  const ledger = createMemoryLedger({ type: 'router', classify: call('Which?'), routes });
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
  const ledger = createMemoryLedger({ ...plan, default: call('d') });
  await ledger.advance();
  ledger.complete('classify', answer);
  expect(keysOf(await ledger.advance())).toEqual(['default']);

  const strict = createMemoryLedger(plan);
  await strict.advance();
  strict.complete('classify', answer);
  expect(await strict.advance()).toMatchObject({
    kind: 'failed',
    error: { code: 'plan_failed', message: expect.stringContaining('billing, tech') as string },
  });
});
