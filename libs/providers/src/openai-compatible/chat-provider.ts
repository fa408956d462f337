import type OpenAI from 'openai';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { Stream } from 'openai/streaming';
import { embeddingsWire } from '../openai/embeddings-wire.ts';
import { createOpenAIClient } from '../openai/openai-client.ts';
import { explainOpenAIError } from '../openai/openai-errors.ts';
import type { Provider } from '../provider.ts';
import type { ProviderOptions } from '../provider-options.ts';
import { readOpenAILimits } from '../rate-limit-headers/observed-limits.ts';
import { toRequestTag } from '../sending/request-tag.ts';
import { sendCall } from '../sending/send-call.ts';
import type { SendingSetup, VendorWire } from '../sending/send-call.ts';
import { toChatRequest } from './chat-request.ts';
import { readChatStream } from './read-chat-stream.ts';

/** Any server that speaks OpenAI's Chat Completions: vLLM, Ollama, llama.cpp, gateways. */
export function createChatProvider(options: ProviderOptions, setup: SendingSetup): Provider {
  // The SDK would go to OpenAI, with a key that is not OpenAI's.
  if (!options.baseUrl)
    throw new TypeError(`provider ${options.name}: an OpenAI-compatible server needs a base URL`);
  const client = createOpenAIClient(options);
  const wire = chatWire(client);
  const vectors = embeddingsWire(client);
  return {
    name: options.name,
    kind: 'openai_compatible',
    call: (call, hooks) => sendCall(call.embedding ? vectors : wire, setup, call, hooks),
  };
}

function chatWire(client: OpenAI): VendorWire {
  return {
    requestIdHeader: 'x-request-id',
    processingMsHeader: 'openai-processing-ms',
    open: (call, signal) =>
      client.chat.completions
        .create(toChatRequest(call), {
          signal,
          timeout: call.timeoutMs + 5000,
          headers: { 'x-client-request-id': toRequestTag(call.requestTag) },
        })
        .asResponse(),
    // The client comes along for its log level: without one the SDK prints unreadable events, which hold the answer.
    read: (response, controller, record, onComplete) =>
      readChatStream(
        Stream.fromSSEResponse<ChatCompletionChunk>(response, controller, client),
        record,
        onComplete,
      ),
    readLimits: readOpenAILimits,
    explain: explainOpenAIError,
  };
}
