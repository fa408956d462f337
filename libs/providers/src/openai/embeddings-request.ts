import type { EmbeddingCreateParams } from 'openai/resources/embeddings';
import type { ProviderCall } from '../provider.ts';

/**
 * What a call for vectors says to the Embeddings API, in realtime and in a batch. Always base64: a third of the bytes of
 * numbers in JSON, and exact.
 */
export function toEmbeddingsBody(call: ProviderCall): EmbeddingCreateParams {
  const dimensions = call.embedding?.dimensions ?? null;
  return {
    model: call.model,
    input: call.messages.map(({ content }) => content),
    ...(dimensions === null ? {} : { dimensions }),
    encoding_format: 'base64',
  };
}
