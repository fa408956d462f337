import { splitText } from './split-text.ts';
import type { SplitOptions } from './split-text.ts';

/**
 * Remembers the chunks of documents that were cut lately, so that running a plan again does not cut the same text again
 * (0.1 s per million characters). The same text is always cut alike, so it is never stale.
 */
export interface SplitCache {
  split(text: string, options: SplitOptions): string[];
}

/** An empty cache that keeps texts of at most `maxCharacters` in all, those used last. */
export function createSplitCache({ maxCharacters }: { maxCharacters: number }): SplitCache {
  const entries = new Map<string, { characters: number; chunks: string[] }>();
  let characters = 0;
  return {
    split(text, options) {
      const key = `${options.maxTokens} ${options.overlapTokens} ${options.maxChunks ?? ''} ${text}`;
      const known = entries.get(key);
      if (known) {
        entries.delete(key);
        entries.set(key, known);
        return known.chunks;
      }
      const chunks = splitText(text, options);
      if (text.length > maxCharacters) return chunks;
      entries.set(key, { characters: text.length, chunks });
      characters += text.length;
      for (const [oldest, entry] of entries) {
        if (characters <= maxCharacters) break;
        entries.delete(oldest);
        characters -= entry.characters;
      }
      return chunks;
    },
  };
}
