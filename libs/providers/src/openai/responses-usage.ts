import type { TokenUsage } from '@millrace/contracts';
import { z } from 'zod';

const count = z.int().min(0).nullish();
const responsesUsageSchema = z.object({
  input_tokens: z.int().min(0),
  output_tokens: z.int().min(0),
  input_tokens_details: z.object({ cached_tokens: count, cache_write_tokens: count }).nullish(),
  output_tokens_details: z.object({ reasoning_tokens: count }).nullish(),
});

/** The usage of the Responses API on our scale; null when it is absent or not to be trusted. Cached tokens are inside `input_tokens`. */
export function readResponsesUsage(usage: unknown): TokenUsage | null {
  const parsed = responsesUsageSchema.safeParse(usage);
  if (!parsed.success) return null;
  const { input_tokens, output_tokens, input_tokens_details, output_tokens_details } = parsed.data;
  return {
    inputTokens: input_tokens,
    cachedInputTokens: input_tokens_details?.cached_tokens ?? 0,
    cacheWriteTokens: input_tokens_details?.cache_write_tokens ?? 0,
    outputTokens: output_tokens,
    reasoningTokens: output_tokens_details?.reasoning_tokens ?? 0,
  };
}
