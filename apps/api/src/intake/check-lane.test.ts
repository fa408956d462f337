import { ProblemError } from '@millrace/contracts';
import type { CallNode } from '@millrace/contracts';
import { describe, expect, it } from 'vitest';
import { createCheckLane } from './check-lane.ts';

const HOUR = 3_600_000;
const call = (model: string): CallNode => ({ type: 'call', model, prompt: 'p' });
const check = createCheckLane({
  targetsOf: ({ route, model }) => (route === 'mixed' ? ['local/a', 'openai/b'] : [model ?? '']),
  batching: new Set(['openai']),
  durations: { refresh: () => Promise.resolve(), expectedMs: () => 20 * HOUR, marginMs: (_, least) => least },
  marginMs: HOUR,
  onError: () => undefined,
});
const batch = { lane: 'batch', on_late: 'best_effort' } as const;
const refusing = { lane: 'batch', on_late: 'refuse' } as const;

describe('a job of the lane batch', () => {
  it('is taken when any of its calls has a target with a batch API', () => {
    check(call('openai/b'), batch, null);
    check({ type: 'call', route: 'mixed', prompt: 'p' }, batch, null);
    check(
      {
        type: 'chain',
        steps: [
          { name: 'draft', ...call('local/a') },
          { name: 'final', ...call('openai/b') },
        ],
      },
      batch,
      HOUR,
    );
  });

  it('is refused when none has', () => {
    expect(() => check(call('local/a'), batch, null)).toThrow(/no target of this plan has a batch API/);
    try {
      check(call('local/a'), batch, null);
    } catch (error) {
      expect(error).toBeInstanceOf(ProblemError);
      expect(error).toMatchObject({ code: 'validation_failed' });
    }
  });

  it('that would rather be refused than late is refused when batches are not known to be in time', () => {
    check(call('openai/b'), refusing, 21 * HOUR);
    expect(() => check(call('openai/b'), refusing, 21 * HOUR - 1)).toThrow(/deadline: .* 1260 minutes/);
    check(call('openai/b'), batch, HOUR);
  });

  it('without a deadline can never be late', () => {
    check(call('openai/b'), refusing, null);
  });
});

it('a job of another lane is taken wherever it goes', () => {
  check(call('local/a'), { lane: 'auto', on_late: 'refuse' }, 1);
  check(call('local/a'), { lane: 'realtime', on_late: 'refuse' }, 1);
});
