import fc from 'fast-check';
import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import { expect, test } from 'vitest';
import { countTokens } from './count-tokens.ts';
import { createSplitCache } from './split-cache.ts';
import { splitRanges, splitText } from './split-text.ts';

const SPECIAL_AS_TEXT = { disallowedSpecial: new Set<string>() };

const wordArbitrary = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom('mill', 'river', 'The', 'water-wheel', 'x', '2024', 'e.g.', '你好世界'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '👩‍👩‍👧',
      '😀'.repeat(30),
      'a'.repeat(300),
      '=-'.repeat(90),
      '\0',
      '<|endoftext|>',
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('\ud800', '\udc00', 'x\ud83d') },
);
const gapArbitrary = fc.constantFrom(
  ' ',
  ' ',
  ' ',
  '. ',
  '? ',
  '。',
  '\n',
  '\n\n',
  '\r\n\r\n',
  '   ',
  '\t',
  '',
  '\n \n   ',
);
const textArbitrary = fc
  .array(fc.tuple(wordArbitrary, gapArbitrary), { maxLength: 150 })
  .map((parts) => parts.flat().join(''));

test('no chunk is too large, nothing is lost, and no surrogate pair is cut', () => {
  fc.assert(
    fc.property(
      textArbitrary,
      fc.integer({ min: 16, max: 80 }),
      fc.integer({ min: 0, max: 80 }),
      (text, maxTokens, overlapTokens) => {
        const ranges = splitRanges(text, { maxTokens, overlapTokens });
        expect(ranges.map(({ fresh, end }) => text.slice(fresh, end)).join('')).toBe(text);
        for (const [index, { start, fresh, end }] of ranges.entries()) {
          expect(start).toBeLessThanOrEqual(fresh);
          expect(fresh).toBeLessThan(end);
          expect(fresh).toBe(ranges[index - 1]?.end ?? 0);
          expect(countTokens(text.slice(start, end))).toBeLessThanOrEqual(maxTokens);
          expect(countTokens(text.slice(start, fresh))).toBeLessThanOrEqual(
            Math.min(overlapTokens, Math.floor(maxTokens / 2)) + 1,
          );
          for (const cut of [start, end])
            expect(/^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(cut - 1, cut + 1))).toBe(false);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('an overlap in a long run of one letter has no more tokens than were asked for', () => {
  const text = `mill mill \ud800${'a'.repeat(300)} `;
  for (const { start, fresh } of splitRanges(text, { maxTokens: 34, overlapTokens: 17 })) {
    expect(countTokens(text.slice(start, fresh))).toBeLessThanOrEqual(17);
  }
});

test('tokens are those of the encoding, and long runs are counted a little high at most', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.lorem(), gapArbitrary)), (parts) => {
      const text = parts.flat().join('');
      expect(countTokens(text)).toBe(encode(text, SPECIAL_AS_TEXT).length);
    }),
  );
  fc.assert(
    fc.property(textArbitrary, (text) => {
      const exact = encode(text, SPECIAL_AS_TEXT).length;
      expect(countTokens(text)).toBeGreaterThanOrEqual(Math.floor(exact * 0.95) - 2);
      expect(countTokens(text)).toBeLessThanOrEqual(exact * 1.6 + 4);
    }),
  );
  expect(countTokens('')).toBe(0);
  expect(countTokens('<|endoftext|>')).toBeGreaterThan(1);
});

const sentence = 'The mill turns with the river and grinds the corn of the valley. ';

test('a cut is made at a paragraph, else at a sentence, else at a word', () => {
  const paragraph = sentence.repeat(3).trim();
  const paragraphs = splitText(`${paragraph}\n\n${paragraph}\n\n${paragraph}`, {
    maxTokens: 70,
    overlapTokens: 0,
  });
  expect(paragraphs).toEqual([`${paragraph}\n\n`, `${paragraph}\n\n`, paragraph]);

  const sentences = splitText(sentence.repeat(9), { maxTokens: 50, overlapTokens: 0 });
  expect(sentences.every((chunk) => chunk.startsWith('The mill') && chunk.endsWith('valley. '))).toBe(true);

  const words = splitText('corn '.repeat(200), { maxTokens: 50, overlapTokens: 0 });
  expect(words.every((chunk) => chunk.startsWith('corn') && chunk.endsWith(' '))).toBe(true);
});

test('an overlap begins with a sentence, and chunks are well filled', () => {
  const text = Array.from({ length: 40 }, (_, index) => `Sentence number ${index} speaks of the mill.`).join(
    ' ',
  );
  const chunks = splitText(text, { maxTokens: 100, overlapTokens: 20 });
  for (const [index, chunk] of chunks.entries()) {
    expect(chunk).toMatch(/^Sentence/);
    if (index > 0) expect(chunks[index - 1]).toContain(chunk.slice(0, 30));
    if (index < chunks.length - 1) expect(countTokens(chunk)).toBeGreaterThan(70);
  }
});

test('a splitter that is told to stop stops one chunk past the cap', () => {
  expect(splitText('corn '.repeat(10_000), { maxTokens: 16, overlapTokens: 8, maxChunks: 5 })).toHaveLength(
    6,
  );
});

test('chunks smaller than 16 tokens are refused', () => {
  expect(() => splitText('x', { maxTokens: 3, overlapTokens: 0 })).toThrow(RangeError);
});

test('the cache gives what the splitter gives and forgets the oldest', () => {
  const cache = createSplitCache({ maxCharacters: 2_500 });
  const texts = ['a ', 'b ', 'c '].map((word) => word.repeat(500));
  const options = { maxTokens: 16, overlapTokens: 0 };
  const first = texts.map((text) => cache.split(text, options));
  expect(first).toEqual(texts.map((text) => splitText(text, options)));
  expect(cache.split(texts[2]!, options)).toBe(first[2]);
  expect(cache.split(texts[0]!, options)).not.toBe(first[0]);
  expect(cache.split(texts[2]!, { ...options, maxTokens: 32 })).not.toEqual(first[2]);
});

test.each([
  ['prose', (sentence.repeat(4) + '\n\n').repeat(19_000)],
  ['one line', sentence.repeat(76_000)],
  ['no spaces', 'a'.repeat(5_000_000)],
  ['white space', ' '.repeat(5_000_000)],
  ['emoji', '😀👩‍👩‍👧'.repeat(500_000)],
])(
  'five million characters of %s are split in less than 2 s',
  (_name, text) => {
    // Processor time, because others use this machine too.
    const timesMs = [1, 2].map(() => {
      const begin = process.cpuUsage();
      splitText(text, { maxTokens: 1500, overlapTokens: 100 });
      const { user, system } = process.cpuUsage(begin);
      return (user + system) / 1_000;
    });
    expect(Math.min(...timesMs)).toBeLessThan(2_000);
  },
  60_000,
);
