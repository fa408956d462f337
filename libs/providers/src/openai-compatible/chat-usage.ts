import type { TokenUsage } from '@millrace/contracts';
import { z } from 'zod';

const count = z.int().min(0).nullish();
const chatUsageSchema = z.object({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  prompt_tokens_details: z.object({ cached_tokens: count, cache_write_tokens: count }).nullish(),
  completion_tokens_details: z.object({ reasoning_tokens: count }).nullish(),
});

/** The usage of a Chat Completions answer on our scale; null when it is absent or not to be trusted. */
export function readChatUsage(usage: unknown): TokenUsage | null {
  const parsed = chatUsageSchema.safeParse(usage);
  if (!parsed.success) return null;
  const { prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details } = parsed.data;
  return {
    inputTokens: prompt_tokens,
    cachedInputTokens: prompt_tokens_details?.cached_tokens ?? 0,
    cacheWriteTokens: prompt_tokens_details?.cache_write_tokens ?? 0,
    outputTokens: completion_tokens,
    reasoningTokens: completion_tokens_details?.reasoning_tokens ?? 0,
  };
}
