import { createFindOversize } from '@millrace/capacity';
import { loadConfig, poolOf } from '@millrace/config';
import type { PoolConfig } from '@millrace/config';
import { defaultRequestLimits } from '@millrace/contracts';
import type { PlanNode } from '@millrace/contracts';
import { checkPlan } from '@millrace/plans';
import { expect, test } from 'vitest';

const defaults = loadConfig({ DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' }, '/nonexistent');
const pool = (name: string, limits: PoolConfig['limits']) =>
  [name, { ...defaults.pools.get(name)!, limits }] as const;
const pools = new Map([
  pool('openai', { tokens: 5_000, requests: 1 }),
  pool('anthropic', { inputTokens: 1_000 }),
]);
const check = (plan: PlanNode) =>
  checkPlan(plan, {
    limits: defaultRequestLimits,
    isKnownTarget: () => true,
    findOversize: createFindOversize(
      { pools, routes: defaults.routes, limits: defaultRequestLimits },
      (target) => poolOf(pools, target),
    ),
  });

test('a call that no minute of its pool can hold is refused with the field and the limit', () => {
  const plan: PlanNode = { type: 'call', model: 'openai/x', prompt: 'p', max_output_tokens: 5_001 };
  expect(check(plan)).toMatchObject({
    ok: false,
    code: 'call_too_large',
    errors: [
      {
        path: 'max_output_tokens',
        message: 'the call needs 5001 tokens at once, and the pool "openai" may take 5000 per minute',
      },
    ],
  });
  expect(check({ ...plan, max_output_tokens: 5_000 })).toMatchObject({ ok: true });
});

test('the prompt counts too, but only what it surely has', () => {
  const words = 'word '.repeat(1_000);
  const call = (prompt: string): PlanNode => ({ type: 'call', model: 'anthropic/x', prompt });
  expect(check(call(words))).toMatchObject({ ok: false, code: 'call_too_large', errors: [{ path: '' }] });
  expect(check(call('{{ input.text }}'))).toMatchObject({ ok: true });
  expect(check(call(`{% if input.long %}${words}{% endif %}`))).toMatchObject({ ok: true });
});

test('a route is refused only when none of its targets can take the call', () => {
  const call = (prompt: string): PlanNode => ({
    type: 'call',
    route: 'cheap',
    prompt,
    max_output_tokens: 6_000,
  });
  expect(check(call('short'))).toMatchObject({ ok: true });
  expect(check(call('word '.repeat(1_000)))).toMatchObject({ ok: false, code: 'call_too_large' });
});
