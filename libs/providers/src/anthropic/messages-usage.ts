import { noUsage } from '@millrace/contracts';
import type { TokenUsage } from '@millrace/contracts';
import { z } from 'zod';

const count = z.int().min(0).nullish();
const messagesUsageSchema = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens_details: z.object({ thinking_tokens: count }).nullish(),
  service_tier: z.string().nullish(),
});

/** A usage block of a Messages stream, with the parts that it named. */
export type MessagesUsage = z.infer<typeof messagesUsageSchema>;

/** Parses a usage block; null when it is none. */
export function parseMessagesUsage(usage: unknown): MessagesUsage | null {
  return messagesUsageSchema.safeParse(usage).data ?? null;
}

/**
 * Puts a usage block over what was known (counts in `message_delta` are cumulative, absent parts keep their value) on our
 * scale: Anthropic's `input_tokens` leaves out the cached parts, ours includes them.
 */
export function mergeMessagesUsage(known: TokenUsage | null, block: MessagesUsage): TokenUsage {
  const before = known ?? noUsage;
  const cached = block.cache_read_input_tokens ?? before.cachedInputTokens;
  const written = block.cache_creation_input_tokens ?? before.cacheWriteTokens;
  const fresh = block.input_tokens ?? before.inputTokens - before.cachedInputTokens - before.cacheWriteTokens;
  return {
    inputTokens: fresh + cached + written,
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    outputTokens: block.output_tokens ?? before.outputTokens,
    reasoningTokens: block.output_tokens_details?.thinking_tokens ?? before.reasoningTokens,
  };
}
