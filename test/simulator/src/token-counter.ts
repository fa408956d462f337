import { countTokens, decodeGenerator, encode } from 'gpt-tokenizer/encoding/o200k_base';
import { createLruCache } from './lru-cache.ts';

/** Counts and cuts text in tokens of o200k_base, remembering texts it saw before. */
export interface TokenCounter {
  count(text: string): number;
  /** The text as it would stream: one string per token (fewer where a character spans tokens). */
  cut(text: string): readonly string[];
}

/** BPE work grows faster than the text, so long text is counted in slices; a cut costs at most one token. */
const SLICE_CHARACTERS = 20_000;

/** User text that happens to contain `<|endoftext|>` is plain text. */
const PLAIN = { disallowedSpecial: new Set<string>() };

export function createTokenCounter(): TokenCounter {
  const counts = createLruCache<number>(5_000);
  const cuts = createLruCache<readonly string[]>(2_000);
  return {
    count(text) {
      if (text === '') return 0;
      const known = counts.get(text);
      if (known !== undefined) return known;
      let total = 0;
      for (const slice of slices(text)) total += countTokens(slice, PLAIN);
      counts.set(text, total);
      return total;
    },
    cut(text) {
      if (text === '') return [];
      const known = cuts.get(text);
      if (known !== undefined) return known;
      const pieces: string[] = [];
      for (const slice of slices(text)) pieces.push(...decodeGenerator(encode(slice, PLAIN)));
      const spoken = pieces.filter((piece) => piece !== '');
      cuts.set(text, spoken);
      return spoken;
    },
  };
}

function* slices(text: string): Generator<string> {
  for (let start = 0; start < text.length; start += SLICE_CHARACTERS) {
    yield text.slice(start, start + SLICE_CHARACTERS);
  }
}
