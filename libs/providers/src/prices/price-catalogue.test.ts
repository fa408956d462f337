import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadPriceCatalogue, modelEndsAt, modelFacts } from './price-catalogue.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-prices-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function loadText(text: string) {
  const path = join(folder, 'prices.yaml');
  writeFileSync(path, text);
  return loadPriceCatalogue(path);
}

const file = (price: string) => `schemaVersion: 1
updatedAt: 2026-11-20
models:
  - kind: openai
    model: m
    contextWindow: 1000
    maxOutput: 100
    source: test
    prices:
${price}
`;

test('the shipped catalogue loads and knows facts of dated names of every kind', () => {
  const catalogue = loadPriceCatalogue();
  expect(modelFacts(catalogue, 'gpt-6-luna-2026-09-01')).toEqual({
    contextWindow: 1_050_000,
    maxOutput: 128_000,
    tokenizerFactor: 1,
    endsAt: null,
  });
  expect(modelFacts(catalogue, 'claude-haiku-5-5')?.tokenizerFactor).toBe(1.3);
  expect(modelFacts(catalogue, 'gemini-3.7-flash')?.contextWindow).toBe(1_000_000);
  expect(modelFacts(catalogue, { kind: 'anthropic', model: 'gpt-6-luna' })).toBeNull();
  expect(modelFacts(catalogue, 'qwen3-8b')).toBeNull();
});

test('the shipped catalogue knows the end of models that it has no price for', () => {
  const catalogue = loadPriceCatalogue();
  expect(modelEndsAt(catalogue, { kind: 'openai', model: 'gpt-5-mini' })).toBe('2026-12-11');
  expect(modelEndsAt(catalogue, { kind: 'openai', model: 'gpt-4o-2024-08-06' })).toBe('2027-01-14');
  expect(modelEndsAt(catalogue, { kind: 'openai', model: 'gpt-6-luna' })).toBeNull();
});

test.each([
  ['an unknown field', '      - { from: 2026-01-01, input: 1, output: 2, cached: 3 }', /cached/],
  ['a price that is text', '      - { from: 2026-01-01, input: cheap, output: 2 }', /input/],
  ['a negative price', '      - { from: 2026-01-01, input: -1, output: 2 }', /input/],
  ['a day that does not exist', '      - { from: 2026-02-30, input: 1, output: 2 }', /from/],
  ['more decimals than money has', '      - { from: 2026-01-01, input: 0.0000001, output: 2 }', /decimals/],
  [
    'days out of order',
    '      - { from: 2026-02-01, input: 1, output: 2 }\n      - { from: 2026-01-01, input: 1, output: 2 }',
    /ordered/,
  ],
])('%s is refused with its place', (_what, price, message) => {
  expect(() => loadText(file(price))).toThrow(message);
});

test('a file without prices for a model is refused', () => {
  expect(() => loadText(file('      []'))).toThrow(/prices/);
});
