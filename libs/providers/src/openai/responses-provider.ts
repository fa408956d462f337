import type OpenAI from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { Stream } from 'openai/streaming';
import type { Provider } from '../provider.ts';
import type { ProviderOptions } from '../provider-options.ts';
import { readOpenAILimits } from '../rate-limit-headers/observed-limits.ts';
import { toRequestTag } from '../sending/request-tag.ts';
import { sendCall } from '../sending/send-call.ts';
import type { SendingSetup, VendorWire } from '../sending/send-call.ts';
import { embeddingsWire } from './embeddings-wire.ts';
import { createOpenAIClient } from './openai-client.ts';
import { explainOpenAIError } from './openai-errors.ts';
import { readResponsesStream } from './read-responses-stream.ts';
import { toResponsesRequest } from './responses-request.ts';

/** OpenAI itself, through the Responses API, and for vectors the Embeddings API (why: docs/decisions/2026-11-21-openai-responses-or-chat.md). */
export function createOpenAIProvider(options: ProviderOptions, setup: SendingSetup): Provider {
  const client = createOpenAIClient(options);
  const wire = responsesWire(client);
  const vectors = embeddingsWire(client);
  return {
    name: options.name,
    kind: 'openai',
    call: (call, hooks) => sendCall(call.embedding ? vectors : wire, setup, call, hooks),
  };
}

function responsesWire(client: OpenAI): VendorWire {
  return {
    requestIdHeader: 'x-request-id',
    processingMsHeader: 'openai-processing-ms',
    open: (call, signal) =>
      client.responses
        .create(toResponsesRequest(call), {
          signal,
          // Our own clock ends the call; the SDK's must only be later.
          timeout: call.timeoutMs + 5000,
          headers: { 'x-client-request-id': toRequestTag(call.requestTag) },
        })
        .asResponse(),
    // The client comes along for its log level: without one the SDK prints unreadable events, which hold the answer.
    read: (response, controller, record, onComplete) =>
      readResponsesStream(
        Stream.fromSSEResponse<ResponseStreamEvent>(response, controller, client),
        record,
        onComplete,
      ),
    readLimits: readOpenAILimits,
    explain: explainOpenAIError,
  };
}
