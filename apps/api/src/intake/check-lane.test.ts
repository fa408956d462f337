import { ProblemError } from '@millrace/contracts';
import type { CallNode, PlanNode } from '@millrace/contracts';
import { describe, expect, it } from 'vitest';
import { createCheckLane } from './check-lane.ts';
import type { LaneWish } from './check-lane.ts';

const HOUR = 3_600_000;
const call = (model: string): CallNode => ({ type: 'call', model, prompt: 'p' });
const via = (route: string): CallNode => ({ type: 'call', route, prompt: 'p' });
const chain = (...calls: CallNode[]): PlanNode => ({
  type: 'chain',
  steps: calls.map((each, index) => ({ name: `step ${index}`, ...each })),
});
const even = (...targets: string[]) => targets.map((target) => ({ target, weight: 1 }));
const checkLane = createCheckLane({
  routes: new Map([
    ['mixed', { targets: even('local/a'), fallback: ['openai/b'] }],
    ['either', { targets: even('openai/quick', 'openai/b'), fallback: [] }],
    ['quick', { targets: even('openai/quick'), fallback: ['openai/b'] }],
    ['parted', { targets: [...even('openai/quick'), { target: 'openai/b', weight: 0 }], fallback: [] }],
    ['secret', { targets: even('openai/b'), fallback: [], batch: false }],
  ]),
  batching: new Set(['openai']),
  durations: {
    refresh: () => Promise.resolve(),
    expectedMs: (target) => (target === 'openai/quick' ? 2 : 20) * HOUR,
    marginMs: (_, least) => least,
  },
  marginMs: HOUR,
  onError: () => undefined,
});
const check = (plan: PlanNode, wish: Partial<LaneWish>, timeLeftMs: number | null): void =>
  checkLane({ plan, lane: 'batch', batchAllowed: true, timeLeftMs, ...wish });
const batch = { onLate: 'best_effort' } as const;
const refusing = { onLate: 'refuse' } as const;

describe('a job of the lane batch', () => {
  it('is taken when any of its calls has a target with a batch API', () => {
    check(call('openai/b'), batch, null);
    check(via('mixed'), batch, null);
    check(chain(call('local/a'), call('openai/b')), batch, HOUR);
    check(chain(via('secret'), call('openai/b')), batch, HOUR);
    check({ ...call('local/a'), escalate: { to: 'openai/b', when: { schema_invalid: true } } }, batch, HOUR);
  });

  it('is refused when none has', () => {
    expect(() => check(call('local/a'), batch, null)).toThrow(/no target of this plan has a batch API/);
    try {
      check(call('local/a'), batch, null);
    } catch (error) {
      expect(error).toBeInstanceOf(ProblemError);
      expect(error).toMatchObject({ code: 'validation_failed', errors: [{ path: 'lane' }] });
    }
  });

  it('is refused when the routes of all that could ride in a batch forbid it', () => {
    expect(() => check(via('secret'), batch, null)).toThrow(/^lane: .*its routes forbid it/);
    expect(() => check(chain(via('secret'), call('local/a')), batch, null)).toThrow(/its routes forbid it/);
  });

  it('is refused when its tenant’s data may not lie in batches', () => {
    const forbidden = { batchAllowed: false };
    expect(() => check(call('openai/b'), forbidden, null)).toThrow(/^lane: this tenant's data may not/);
    check(call('openai/b'), { ...forbidden, lane: 'auto' }, null);
  });

  it('that would rather be refused than late is refused when batches are not known to be in time', () => {
    check(call('openai/b'), refusing, 21 * HOUR);
    expect(() => check(call('openai/b'), refusing, 21 * HOUR - 1)).toThrow(/deadline: .* 1260 minutes/);
    check(call('openai/b'), batch, HOUR);
  });

  it('needs the time of all batches that follow one upon the other', () => {
    const three = chain(call('openai/b'), call('openai/b'), call('openai/b'));
    check(three, refusing, 61 * HOUR);
    expect(() => check(three, refusing, 61 * HOUR - 1)).toThrow(/deadline: .* 3660 minutes/);
    const realtime = chain(call('local/a'), via('secret'), call('openai/b'));
    check(realtime, refusing, 21 * HOUR);
    const escalate = { to: 'openai/b', when: { judge_below: { score: 0.5, by: 'quick' } } };
    check({ ...via('quick'), escalate }, refusing, 25 * HOUR);
    expect(() => check({ ...via('quick'), escalate }, refusing, 25 * HOUR - 1)).toThrow(/1500 minutes/);
  });

  it('needs the time of the slowest target that its route may choose', () => {
    check(via('either'), refusing, 21 * HOUR);
    expect(() => check(via('either'), refusing, 21 * HOUR - 1)).toThrow(/1260 minutes/);
    for (const route of ['quick', 'parted']) {
      check(via(route), refusing, 3 * HOUR);
      expect(() => check(via(route), refusing, 3 * HOUR - 1)).toThrow(/180 minutes/);
    }
  });

  it('without a deadline can never be late', () => {
    check(call('openai/b'), refusing, null);
  });
});

it('a job of another lane is taken wherever it goes', () => {
  check(call('local/a'), { lane: 'auto', onLate: 'refuse' }, 1);
  check(call('local/a'), { lane: 'realtime', onLate: 'refuse' }, 1);
});
