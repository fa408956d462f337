import type { CollectedGroup } from '@millrace/ledger';
import { describe, expect, it } from 'vitest';
import { planCollection } from './plan-collection.ts';

const NOW = 1_000_000;
const rules = { collectAgeMs: 60_000, pilotFrom: 20, fullAt: 1_000, takesMs: 500_000, now: NOW };
const group = (change: Partial<CollectedGroup> = {}): CollectedGroup => ({
  target: 'openai/a',
  shape: 'a',
  trial: 'proven',
  pilots: 1,
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
  it('when a deadline demands it', () => {
    expect(plan(group({ escapeAt: NOW + 500_000 })).submitShapes).toEqual(['a']);
    expect(plan(group({ escapeAt: NOW + 500_001 })).submitShapes).toEqual([]);
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
