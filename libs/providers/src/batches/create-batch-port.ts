import { createAnthropicBatchPort } from '../anthropic/anthropic-batches.ts';
import { createOpenAIBatchPort } from '../openai/openai-batches.ts';
import type { ProviderOptions } from '../provider-options.ts';
import type { BatchPort } from './batch-port.ts';
import type { LineReading } from './line-result.ts';

/**
 * The batch API of a provider account; null for OpenAI-compatible servers, which have none that could be relied on. Nothing
 * is sent before the first use.
 */
export function createBatchPort(options: ProviderOptions): BatchPort | null {
  const now = options.now ?? Date.now;
  const reading: LineReading = {
    provider: options.name,
    tokenizerFactor: options.tokenizerFactor ?? (() => 1),
  };
  switch (options.kind) {
    case 'openai':
      return createOpenAIBatchPort(options, reading, now);
    case 'anthropic':
      return createAnthropicBatchPort(options, reading, now);
    case 'openai_compatible':
      return null;
  }
}
