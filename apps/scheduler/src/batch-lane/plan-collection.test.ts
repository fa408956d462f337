import type { CollectedGroup } from '@millrace/ledger';
import { describe, expect, it } from 'vitest';
import { planCollection } from './plan-collection.ts';

const NOW = 1_000_000;
const rules = { collectAgeMs: 60_000, pilotFrom: 20, fullAt: 1_000, takesMs: 500_000, now: NOW };
const group = (change: Partial<CollectedGroup> = {}): CollectedGroup => ({
  target: 'openai/a',
  shape: 'a',
  trial: 'proven',
  undecided: 0,
  triedAt: null,
  count: 10,
  oldestAt: NOW,
  escapeAt: null,
  ...change,
});
const plan = (...groups: CollectedGroup[]) => planCollection('openai/a', groups, rules);

describe('what is collected is submitted', () => {
  it('not before it is time', () => {
    expect(plan(group()).submitShapes).toEqual([]);
  });
  it('when the oldest has waited long enough, with all that may go', () => {
    const old = group({ shape: 'b', oldestAt: NOW - 60_000 });
    expect(plan(group(), old).submitShapes).toEqual(['a', 'b']);
  });
  it('when it makes a full batch, all shapes together', () => {
    expect(plan(group({ count: 600 }), group({ shape: 'b', count: 400 })).submitShapes).toEqual(['a', 'b']);
  });
  it('when a deadline demands it, with what has gathered meanwhile', () => {
    const gathered = { oldestAt: NOW - 5_000 };
    expect(plan(group({ ...gathered, escapeAt: NOW + 500_000 })).submitShapes).toEqual(['a']);
    expect(plan(group({ ...gathered, escapeAt: NOW + 500_001 })).submitShapes).toEqual([]);
  });
  it('not at each look for a deadline that cannot be met any more', () => {
    const hopeless = { escapeAt: NOW + 1 };
    expect(plan(group({ ...hopeless, oldestAt: NOW - 4_999 })).submitShapes).toEqual([]);
    expect(plan(group({ ...hopeless, oldestAt: NOW - 5_000 })).submitShapes).toEqual(['a']);
  });
  it('at the latest at the age at which it would be anyway', () => {
    const quick = { ...rules, collectAgeMs: 1_000 };
    const demanded = group({ escapeAt: NOW + 1, oldestAt: NOW - 1_000 });
    expect(planCollection('openai/a', [demanded], quick).submitShapes).toEqual(['a']);
  });
});

describe('a new shape', () => {
  const old = { oldestAt: NOW - 60_000 };
  it('is tried first when there are many of it, and holds up no other', () => {
    const many = group({ shape: 'new', trial: 'untried', count: 20, ...old });
    expect(plan(many, group(old))).toMatchObject({ tryShapes: ['new'], submitShapes: ['a'] });
  });
  it('waits while it is tried', () => {
    const trying = group({ shape: 'new', trial: 'trying', ...old });
    expect(plan(trying)).toMatchObject({ tryShapes: [], submitShapes: [] });
  });
  it('is tried again at once after a refusal, and ever later after pilots that told nothing', () => {
    const after = (undecided: number, waitedMs: number) =>
      plan(group({ shape: 'new', trial: 'untried', count: 20, undecided, triedAt: NOW - waitedMs }))
        .tryShapes;
    expect(after(0, 0)).toEqual(['new']);
    for (const [undecided, waitMs] of [
      [1, 1_000],
      [2, 2_000],
      [5, 16_000],
      [20, 600_000],
      [2_000, 600_000],
    ] as const) {
      expect(after(undecided, waitMs - 1)).toEqual([]);
      expect(after(undecided, waitMs)).toEqual(['new']);
    }
  });
  it('of which there are few is its own trial', () => {
    expect(plan(group({ trial: 'untried', count: 19, ...old }))).toMatchObject({
      tryShapes: [],
      submitShapes: ['a'],
    });
  });
  it('that was refused goes to realtime', () => {
    expect(plan(group({ trial: 'refused', ...old }))).toMatchObject({
      refusedShapes: ['a'],
      submitShapes: [],
    });
  });
});
