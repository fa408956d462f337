import { describe, expect, it } from 'vitest';
import { createRetryBudget } from './retry-budget.ts';

const budgetAt = (clock: { now: number }) =>
  createRetryBudget({ share: 0.1, most: 10, trickleMs: 1_000, now: () => clock.now });
const spendAll = (budget: ReturnType<typeof budgetAt>, tries: number): number =>
  Array.from({ length: tries }, () => budget.spend('a')).filter(Boolean).length;

describe('the retry budget', () => {
  it('lets savings go at once and then one probe per period', () => {
    const clock = { now: 10_000 };
    const budget = budgetAt(clock);
    expect(spendAll(budget, 100)).toBe(11);
    clock.now += 999;
    expect(budget.spend('a')).toBe(false);
    clock.now += 1;
    expect(spendAll(budget, 5)).toBe(1);
  });

  it('gives a probe that did not go back as a probe, and savings as savings', () => {
    const clock = { now: 10_000 };
    const budget = budgetAt(clock);
    spendAll(budget, 100);
    for (let periods = 0; periods < 3; periods += 1) {
      clock.now += 1_000;
      expect(budget.spend('a')).toBe(true);
      budget.refund('a');
    }
    clock.now += 1_000;
    // This period's probe, and nothing that was saved from those that did not go.
    expect(spendAll(budget, 5)).toBe(1);
    for (let index = 0; index < 21; index += 1) budget.earn('a');
    expect(spendAll(budget, 5)).toBe(2);
    budget.refund('a');
    budget.refund('a');
    expect(spendAll(budget, 5)).toBe(2);
  });

  it('grows by a tenth of the first attempts, per target', () => {
    const budget = budgetAt({ now: 10_000 });
    spendAll(budget, 100);
    for (let index = 0; index < 21; index += 1) budget.earn('a');
    expect(spendAll(budget, 10)).toBe(2);
    expect(budget.spend('b')).toBe(true);
  });

  it('doubles what may follow when retries succeed, so that a target that is back is used again soon', () => {
    const budget = budgetAt({ now: 10_000 });
    spendAll(budget, 100);
    budget.reward('a');
    expect(spendAll(budget, 10)).toBe(2);
    budget.reward('a');
    budget.reward('a');
    expect(spendAll(budget, 10)).toBe(4);
  });
});
