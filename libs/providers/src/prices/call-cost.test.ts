import { noUsage } from '@millrace/contracts';
import type { TokenUsage } from '@millrace/contracts';
import { describe, expect, test } from 'vitest';
import { costMicroUsd, worstCaseMicroUsd } from './call-cost.ts';
import { loadPriceCatalogue } from './price-catalogue.ts';
import type { ModelPriceInput } from './price-schema.ts';

const catalogue = loadPriceCatalogue();
const at = new Date('2026-11-21T12:00:00Z');
const usage = (parts: Partial<TokenUsage>): TokenUsage => ({ ...noUsage, ...parts });

describe('the price of a call', () => {
  test('counts fresh, cached, written and output tokens each at its rate', () => {
    const parts = usage({
      inputTokens: 10_000,
      cachedInputTokens: 6_000,
      cacheWriteTokens: 1_000,
      outputTokens: 2_000,
      reasoningTokens: 1_500,
    });
    // 3,000 × 1 + 6,000 × 0.05 + 1,000 × 1.25 + 2,000 × 5 dollars per million; reasoning is inside the output.
    expect(
      costMicroUsd(catalogue, { kind: 'openai', model: 'gpt-6.1-terra', usage: parts, tier: null, at }),
    ).toEqual({
      microUsd: 3_000 + 300 + 1_250 + 10_000,
      known: true,
    });
  });

  test.each([
    ['openai', 'gpt-6.2-astra', 8_000_000, 40_000_000],
    ['openai', 'gpt-6.2-sol', 2_000_000, 10_000_000],
    ['openai', 'gpt-6.1-sol', 2_000_000, 10_000_000],
    ['openai', 'gpt-6.1-terra', 1_000_000, 5_000_000],
    ['openai', 'gpt-6-luna', 100_000, 500_000],
    ['openai', 'gpt-6-astra', 10_000_000, 50_000_000],
    ['openai', 'gpt-5.6-sol', 4_000_000, 20_000_000],
    ['openai', 'gpt-5.4-mini', 750_000, 4_500_000],
    ['openai', 'gpt-5.4-nano', 200_000, 1_250_000],
    ['anthropic', 'claude-fable-5-2', 8_000_000, 40_000_000],
    ['anthropic', 'claude-fable-5-1', 10_000_000, 50_000_000],
    ['anthropic', 'claude-opus-5-5', 4_000_000, 20_000_000],
    ['anthropic', 'claude-sonnet-5-5', 2_000_000, 10_000_000],
    ['anthropic', 'claude-haiku-5-5', 100_000, 500_000],
    ['anthropic', 'claude-haiku-4-5', 1_000_000, 5_000_000],
    ['openai_compatible', 'gemini-3.6-flash', 750_000, 3_750_000],
  ] as const)('%s %s has the listed rates', (kind, model, inputPerMillion, outputPerMillion) => {
    // A hundred calls of 10,000 tokens stay below every band.
    const input = costMicroUsd(catalogue, {
      kind,
      model,
      usage: usage({ inputTokens: 10_000 }),
      tier: null,
      at,
    });
    const output = costMicroUsd(catalogue, {
      kind,
      model,
      usage: usage({ outputTokens: 10_000 }),
      tier: null,
      at,
    });
    expect([input.microUsd * 100, output.microUsd * 100]).toEqual([inputPerMillion, outputPerMillion]);
  });

  test('is at the higher rate for the whole request above a band, and not at its edge', () => {
    const cost = (inputTokens: number) =>
      costMicroUsd(catalogue, {
        kind: 'anthropic',
        model: 'claude-haiku-5-5',
        usage: usage({ inputTokens, outputTokens: 1_000 }),
        tier: null,
        at,
      }).microUsd;
    expect(cost(100_000)).toBe(10_000 + 500);
    // 100,001 × 0.50 + 1,000 × 2.50, half a micro-dollar rounded up.
    expect(cost(100_001)).toBe(50_001 + 2_500);
  });

  test('counts cached tokens for the band', () => {
    const call = { kind: 'openai', model: 'gpt-6.1-sol', tier: null, at } as const;
    const parts = usage({ inputTokens: 300_000, cachedInputTokens: 300_000 });
    expect(costMicroUsd(catalogue, { ...call, usage: parts }).microUsd).toBe(60_000);
  });

  test('is that of the day', () => {
    const cost = (day: string) =>
      costMicroUsd(catalogue, {
        kind: 'anthropic',
        model: 'claude-sonnet-5-5',
        usage: usage({ inputTokens: 1_000_000, cachedInputTokens: 1_000_000 }),
        tier: null,
        at: new Date(day),
      }).microUsd;
    expect(cost('2026-10-06T23:59:59Z')).toBe(200_000);
    expect(cost('2026-10-07T00:00:00Z')).toBe(100_000);
    expect(cost('2020-01-01T00:00:00Z')).toBe(200_000);
  });

  test.each([
    [null, 1_000_000, true],
    ['default', 1_000_000, true],
    ['standard', 1_000_000, true],
    ['flex', 500_000, true],
    ['batch', 500_000, true],
    ['priority', 2_000_000, true],
    ['fast', 2_000_000, true],
    ['ultrafast', 1_000_000, false],
  ])('in tier %s is %i with known %s', (tier, microUsd, known) => {
    const call = { kind: 'openai', model: 'gpt-5.4-mini', tier, at } as const;
    const parts = usage({ inputTokens: 1_000_000, cachedInputTokens: 0, outputTokens: 0 });
    const base = costMicroUsd(catalogue, { ...call, tier: null, usage: parts }).microUsd;
    expect(costMicroUsd(catalogue, { ...call, usage: parts })).toEqual({
      microUsd: (base * microUsd) / 1_000_000,
      known,
    });
  });

  test('rounds half up, once per call', () => {
    const cost = (inputTokens: number) =>
      costMicroUsd(catalogue, {
        kind: 'openai',
        model: 'gpt-6-luna',
        usage: usage({ inputTokens }),
        tier: null,
        at,
      }).microUsd;
    expect([cost(4), cost(5), cost(14), cost(15), cost(0)]).toEqual([0, 1, 1, 2, 0]);
  });

  test('follows the model’s family for dated names', () => {
    const cost = (kind: 'openai' | 'anthropic', model: string) =>
      costMicroUsd(catalogue, { kind, model, usage: usage({ outputTokens: 1000 }), tier: null, at });
    expect(cost('openai', 'gpt-6-luna-2026-09-01')).toEqual({ microUsd: 500, known: true });
    expect(cost('anthropic', 'claude-haiku-4-5-20251001')).toEqual({ microUsd: 5000, known: true });
    expect(cost('anthropic', 'claude-opus-5-5-latest')).toEqual({ microUsd: 20_000, known: true });
    expect(cost('openai', 'gpt-6-lunatic')).toEqual({ microUsd: 0, known: false });
  });

  test('is nothing, and not known, for a model of one’s own', () => {
    const call = { kind: 'openai_compatible', model: 'qwen3-8b', tier: null, at } as const;
    expect(costMicroUsd(catalogue, { ...call, usage: usage({ inputTokens: 10 }) })).toEqual({
      microUsd: 0,
      known: false,
    });
  });

  test('never is negative when a server counts more cached tokens than tokens', () => {
    const call = { kind: 'openai', model: 'gpt-6-luna', tier: null, at } as const;
    const parts = usage({ inputTokens: 10, cachedInputTokens: 100 });
    expect(costMicroUsd(catalogue, { ...call, usage: parts }).microUsd).toBe(1);
  });

  test('uses the rate of the cache’s time to live', () => {
    const call = { kind: 'anthropic', model: 'claude-opus-5-5', tier: null, at } as const;
    const parts = usage({ inputTokens: 1_000_000, cacheWriteTokens: 1_000_000 });
    expect(costMicroUsd(catalogue, { ...call, usage: parts }).microUsd).toBe(5_000_000);
    expect(costMicroUsd(catalogue, { ...call, usage: parts, cacheWriteTtl: '1h' }).microUsd).toBe(8_000_000);
  });
});

describe('prices from the configuration', () => {
  const own: ModelPriceInput = {
    kind: 'openai_compatible',
    provider: 'house',
    model: 'qwen3-8b',
    contextWindow: 32_768,
    maxOutput: 8192,
    source: 'our own electricity',
    prices: [{ from: '2026-01-01', input: 0.05, output: 0.2 }],
  };

  test('hold for the provider that they name', () => {
    const extended = loadPriceCatalogue(undefined, [own]);
    const call = { kind: 'openai_compatible', model: 'qwen3-8b', tier: null, at } as const;
    const parts = usage({ inputTokens: 1_000_000, outputTokens: 1_000_000 });
    expect(costMicroUsd(extended, { ...call, provider: 'house', usage: parts })).toEqual({
      microUsd: 250_000,
      known: true,
    });
    expect(costMicroUsd(extended, { ...call, provider: 'other', usage: parts }).known).toBe(false);
  });

  test('win over the file’s', () => {
    const dearer: ModelPriceInput = { ...own, kind: 'openai', provider: 'openai', model: 'gpt-6-luna' };
    const extended = loadPriceCatalogue(undefined, [dearer]);
    const call = { kind: 'openai', model: 'gpt-6-luna-2026-09-01', tier: null, at } as const;
    const parts = usage({ inputTokens: 1_000_000 });
    expect(costMicroUsd(extended, { ...call, provider: 'openai', usage: parts }).microUsd).toBe(50_000);
    expect(costMicroUsd(extended, { ...call, usage: parts }).microUsd).toBe(200_000);
  });
});

describe('the worst case', () => {
  test('writes all of the input to the cache and uses all of the output', () => {
    const call = { kind: 'openai', model: 'gpt-6-luna', tier: null, at } as const;
    expect(worstCaseMicroUsd(catalogue, { ...call, inputTokens: 10_000, maxOutputTokens: 1_000 })).toEqual({
      microUsd: 1_250 + 500,
      known: true,
    });
  });

  test('is never below what the call then costs', () => {
    for (const entry of new Set(catalogue.byKey.values())) {
      for (const inputTokens of [0, 999, 100_001, 272_000, 272_001]) {
        const call = { kind: entry.kind, model: entry.model, tier: null, at } as const;
        const worst = worstCaseMicroUsd(catalogue, { ...call, inputTokens, maxOutputTokens: 777 }).microUsd;
        for (const share of [0, 0.5, 1]) {
          const cached = Math.floor(inputTokens * share);
          const parts = usage({
            inputTokens,
            cachedInputTokens: cached,
            cacheWriteTokens: inputTokens - cached,
            outputTokens: 777,
          });
          expect(worst).toBeGreaterThanOrEqual(costMicroUsd(catalogue, { ...call, usage: parts }).microUsd);
        }
      }
    }
  });
});
