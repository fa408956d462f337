import { expect, test } from 'vitest';
import { loadPriceCatalogue } from './price-catalogue.ts';
import { quoteLanes } from './quote-lanes.ts';

const catalogue = loadPriceCatalogue();
const at = new Date('2026-11-21T12:00:00Z');

test('batch and flex cost half of realtime for every OpenAI model that is priced there, batch for every Anthropic one', () => {
  let seen = 0;
  for (const { kind, model, maxOutput } of new Set(catalogue.byKey.values())) {
    if (kind === 'openai_compatible') continue;
    const outputTokens = maxOutput === 0 ? 0 : 40_000;
    const quote = quoteLanes(catalogue, { kind, model, inputTokens: 60_000, outputTokens, at })!;
    expect(quote.realtime, model).toBeGreaterThan(0);
    expect(quote.batch, model).toBe(Math.ceil(quote.realtime / 2));
    const hasFlex = kind === 'openai' && maxOutput > 0;
    expect(quote.flex, model).toBe(hasFlex ? Math.ceil(quote.realtime / 2) : null);
    seen += 1;
  }
  expect(seen).toBeGreaterThan(10);
});

test('the context band counts in every lane', () => {
  const call = { kind: 'openai', model: 'gpt-6.1-terra', outputTokens: 1_000, at } as const;
  expect(quoteLanes(catalogue, { ...call, inputTokens: 300_000 })).toEqual({
    realtime: 607_500,
    batch: 303_750,
    flex: 303_750,
  });
});

test('a model without a price has no quote', () => {
  const call = { kind: 'openai', model: 'unheard-of', inputTokens: 1, outputTokens: 1, at } as const;
  expect(quoteLanes(catalogue, call)).toBeNull();
});
