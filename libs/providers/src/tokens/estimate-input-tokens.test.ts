import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { expect, test } from 'vitest';
import { aCall } from '../testing/call-builder.ts';
import { estimateInputTokens, estimateTextTokens } from './estimate-input-tokens.ts';

const sentence = (number: number) =>
  `Item ${number}: the miller opened the sluice at dawn, and ${number * 37} litres ran down to the wheel. `;
const prose = (length: number) => {
  let text = '';
  for (let number = 0; text.length < length; number += 1) text += sentence(number);
  return text.slice(0, length);
};

test.each([[10], [1_000], [5_000], [16_384], [16_385], [200_000]])(
  'prose of %i characters is counted within 3 %',
  (length) => {
    const text = prose(length);
    const exact = countTokens(text);
    expect(Math.abs(estimateTextTokens(text, 1) - exact)).toBeLessThanOrEqual(Math.ceil(exact * 0.03));
  },
);

test('one endless word of a megabyte takes no time worth mentioning', () => {
  const startedAt = performance.now();
  const tokens = estimateTextTokens('水'.repeat(500_000) + 'a'.repeat(500_000), 1);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(tokens).toBeGreaterThan(10_000);
});

test('a special token in the text is text', () => {
  expect(estimateTextTokens('a<|endoftext|>b', 1)).toBeGreaterThan(4);
});

test('system text, every message and the schema count, and so does the model’s factor', () => {
  const bare = aCall({ system: null, messages: [{ role: 'user', content: 'hello' }] });
  const base = estimateInputTokens(bare, 1);
  expect(base).toBe(3 + 4 + 1);
  expect(estimateInputTokens({ ...bare, system: prose(400) }, 1)).toBeGreaterThan(base + 60);
  const schema = { type: 'object', properties: { title: { type: 'string' } } };
  expect(estimateInputTokens({ ...bare, output: { name: 'page', schema } }, 1)).toBeGreaterThan(base + 10);
  expect(estimateInputTokens(bare, 1.3)).toBe(Math.ceil(base * 1.3));
});

test('no text is no tokens', () => {
  expect(estimateTextTokens('', 1.3)).toBe(0);
});
