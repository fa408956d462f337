import { createLruCache } from '../lru-cache.ts';
import type { ModelCall } from './model-call.ts';

/** Prompts seen lately, so that a repeated prefix can be billed as cached. */
export interface PrefixCache {
  /** Tokens of this prompt that were cached, and tokens that are written to the cache by it. */
  look(
    account: string,
    call: ModelCall,
  ): { readonly cachedTokens: number; readonly cacheWriteTokens: number };
}

const MINIMUM_TOKENS = 1_024;
const KEPT_MS = 5 * 60_000;

/** OpenAI caches by itself; Anthropic only what a request marks with `cache_control`. */
export function createPrefixCache(monotonicMs: () => number): PrefixCache {
  const seen = createLruCache<{ text: string; atMs: number }>(500);
  return {
    look(account, call) {
      const marked = call.card.vendor === 'openai' || JSON.stringify(call.body).includes('"cache_control"');
      if (!marked || call.inputTokens < MINIMUM_TOKENS) return { cachedTokens: 0, cacheWriteTokens: 0 };
      const key = `${account}|${call.card.id}|${call.promptText.slice(0, 2_000)}`;
      const known = seen.get(key);
      const atMs = monotonicMs();
      seen.set(key, { text: call.promptText, atMs });
      const common =
        known === undefined || atMs - known.atMs > KEPT_MS ? 0 : commonPrefix(known.text, call.promptText);
      const share = common / Math.max(1, call.promptText.length);
      const cachedTokens = Math.floor((share * call.inputTokens) / 128) * 128;
      const writes = call.card.price.cacheWrite !== null;
      if (cachedTokens < MINIMUM_TOKENS)
        return { cachedTokens: 0, cacheWriteTokens: writes ? call.inputTokens : 0 };
      return { cachedTokens, cacheWriteTokens: writes ? call.inputTokens - cachedTokens : 0 };
    },
  };
}

function commonPrefix(left: string, right: string): number {
  const end = Math.min(left.length, right.length);
  let index = 0;
  while (index < end && left.charCodeAt(index) === right.charCodeAt(index)) index += 1;
  return index;
}
