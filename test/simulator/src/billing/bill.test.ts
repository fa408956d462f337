import { describe, expect, it } from 'vitest';
import { createModelCatalogue } from '../model-catalogue.ts';
import { createBill, nanoUsdOf, noTokens } from './bill.ts';

const catalogue = createModelCatalogue({});
const luna = catalogue.find('openai', 'gpt-6-luna')!;
const haiku = catalogue.find('anthropic', 'claude-haiku-5-5')!;
const million = { ...noTokens(), inputTokens: 1_000_000, outputTokens: 1_000_000 };

describe('the bill', () => {
  it('follows the price tables, cached input and cache writes included', () => {
    const tokens = {
      ...noTokens(),
      inputTokens: 1_000,
      cachedInputTokens: 400,
      cacheWriteTokens: 100,
      outputTokens: 200,
    };
    // 500 at 0.10, 400 at 0.01, 100 at 0.125, 200 at 0.50 dollars per million.
    expect(nanoUsdOf(luna, 'standard', tokens)).toBe(50_000 + 4_000 + 12_500 + 100_000);
  });

  it('takes half for batch and flex and twice for priority', () => {
    const tokens = { ...noTokens(), inputTokens: 1_000, outputTokens: 1_000 };
    expect(nanoUsdOf(luna, 'standard', tokens)).toBe(600_000);
    expect(nanoUsdOf(luna, 'batch', tokens)).toBe(300_000);
    expect(nanoUsdOf(luna, 'flex', tokens)).toBe(300_000);
    expect(nanoUsdOf(luna, 'priority', tokens)).toBe(1_200_000);
  });

  it('bills the whole request by the band of a long prompt', () => {
    expect(nanoUsdOf(luna, 'standard', million)).toBe(0.2e9 + 0.75e9);
    expect(nanoUsdOf(haiku, 'standard', million)).toBe(0.5e9 + 2.5e9);
    expect(nanoUsdOf(haiku, 'standard', { ...noTokens(), inputTokens: 100_000 })).toBe(10_000_000);
  });

  it('adds up exactly by account, model and tier', () => {
    const bill = createBill();
    for (let call = 0; call < 1_000; call += 1)
      bill.add('a', luna, 'standard', { ...noTokens(), inputTokens: 1 });
    bill.add('b', luna, 'batch', { ...noTokens(), inputTokens: 10 });
    expect(bill.lines()).toMatchObject([
      { account: 'a', calls: 1_000, inputTokens: 1_000, costUsd: '0.000100000' },
      { account: 'b', tier: 'batch', costUsd: '0.000000500' },
    ]);
    expect(bill.totalUsd()).toBe('0.000100500');
  });
});
