import type OpenAI from 'openai';
import { readOpenAILimits } from '../rate-limit-headers/observed-limits.ts';
import { toRequestTag } from '../sending/request-tag.ts';
import type { VendorWire } from '../sending/send-call.ts';
import { toEmbeddingsBody } from './embeddings-request.ts';
import { explainOpenAIError } from './openai-errors.ts';
import { recordEmbeddings } from './record-embeddings.ts';

/** The Embeddings API, of OpenAI and of servers that speak its dialect. Its answers come whole, never as a stream. */
export function embeddingsWire(client: OpenAI): VendorWire {
  return {
    requestIdHeader: 'x-request-id',
    processingMsHeader: 'openai-processing-ms',
    open: (call, signal) =>
      client.embeddings
        .create(toEmbeddingsBody(call), {
          signal,
          timeout: call.timeoutMs + 5000,
          headers: { 'x-client-request-id': toRequestTag(call.requestTag) },
        })
        .asResponse(),
    async read(response, _controller, record, onComplete) {
      if (recordEmbeddings(await response.json(), record)) onComplete();
    },
    readLimits: readOpenAILimits,
    explain: explainOpenAIError,
  };
}
