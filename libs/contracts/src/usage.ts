import { z } from 'zod';

/**
 * Tokens of one call on one scale for all vendors: `inputTokens` is everything that went in, cached and cache-written
 * tokens included (OpenAI counts so; for Anthropic the parts are summed); `reasoningTokens` is part of `outputTokens`.
 */
export interface TokenUsage {
  inputTokens: number;
  cachedInputTokens: number;
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

/** No tokens at all. */
export const noUsage: Readonly<TokenUsage> = Object.freeze({
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
});

/** The totals of a job as the API shows them. */
export const usageSchema = z
  .strictObject({
    input_tokens: z.int(),
    cached_input_tokens: z.int(),
    output_tokens: z.int(),
    reasoning_tokens: z.int(),
    calls: z.int().meta({ description: 'Provider calls that were sent, repairs and retries included.' }),
    ambiguous_calls: z.int().meta({
      description:
        'Calls that were sent and whose answer was never recorded; the provider may have billed them.',
    }),
  })
  .meta({ id: 'Usage' });
