import type { StepRequest } from '@millrace/contracts';
import { describe, expect, it } from 'vitest';
import { hashRequest } from './hash-request.ts';
import { readVectors } from './judge-vectors.ts';
import { asksForVectors, shapeOf } from './shape-of.ts';

const packed = (...numbers: number[]) => Buffer.from(new Float32Array(numbers).buffer).toString('base64');
const request = (
  texts: readonly string[],
  more: Partial<NonNullable<StepRequest['embedding']>> = {},
): StepRequest => ({
  kind: 'call',
  route: null,
  model: 'openai/text-embedding-3-small',
  system: null,
  messages: texts.map((content) => ({ role: 'user', content })),
  output: null,
  maxOutputTokens: null,
  stream: false,
  embedding: { dimensions: null, encoding: 'float', single: false, ...more },
});

describe('the output of a call for vectors', () => {
  it('is a list of lists of numbers, exactly as the 32-bit floats were', () => {
    const embeddings = [packed(0.1, -2), packed(3, 4)];
    expect(readVectors(request(['a', 'b']), { embeddings })).toEqual([
      [Math.fround(0.1), -2],
      [3, 4],
    ]);
  });

  it('is the one vector where a text was given and no list', () => {
    expect(readVectors(request(['a'], { single: true }), { embeddings: [packed(1, 2)] })).toEqual([1, 2]);
  });

  it('stays base64 where that was asked for', () => {
    const embeddings = [packed(1, 2)];
    expect(readVectors(request(['a'], { encoding: 'base64' }), { embeddings })).toEqual(embeddings);
  });

  it.each([
    ['fewer vectors than inputs', [packed(1)]],
    ['more vectors than inputs', [packed(1), packed(2), packed(3)]],
    ['a vector of broken bytes', [packed(1), 'AAA=']],
    ['an empty vector', [packed(1), '']],
    ['a number that is none', [packed(1), packed(Number.NaN)]],
    ['no vectors', undefined],
  ])('is none for %s', (_what, embeddings) => {
    expect(readVectors(request(['a', 'b']), embeddings === undefined ? {} : { embeddings })).toBeNull();
  });
});

describe('the shape of a request', () => {
  it('tells calls for vectors from calls for text, so that each kind has batches of its own', () => {
    const { embedding: _embedding, ...text } = request(['a']);
    expect(asksForVectors(shapeOf(request(['a'])))).toBe(true);
    expect(asksForVectors(shapeOf(text))).toBe(false);
  });

  it('depends on the dimensions and the sampling, which a provider could refuse, and not on the words or their number', () => {
    expect(shapeOf(request(['a', 'b', 'c']))).toBe(shapeOf(request(['x'], { encoding: 'base64' })));
    for (const sampling of [{ temperature: 0 }, { topP: 0.5 }]) {
      const sampled = { ...request(['a']), ...sampling };
      expect(shapeOf(sampled)).not.toBe(shapeOf(request(['a'])));
      expect(hashRequest(sampled)).not.toBe(hashRequest(request(['a'])));
    }
    expect(shapeOf(request(['a'], { dimensions: 64 }))).not.toBe(shapeOf(request(['a'])));
  });
});
