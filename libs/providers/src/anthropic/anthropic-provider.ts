import type Anthropic from '@anthropic-ai/sdk';
import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import { Stream } from '@anthropic-ai/sdk/streaming';
import { makeFailure } from '../failures/failure.ts';
import type { Provider } from '../provider.ts';
import type { ProviderOptions } from '../provider-options.ts';
import { readAnthropicLimits } from '../rate-limit-headers/observed-limits.ts';
import { toRequestTag } from '../sending/request-tag.ts';
import { sendCall } from '../sending/send-call.ts';
import type { SendingSetup, VendorWire } from '../sending/send-call.ts';
import { createAnthropicClient } from './anthropic-client.ts';
import { explainAnthropicError } from './anthropic-errors.ts';
import { toMessagesRequest } from './messages-request.ts';
import { readMessagesStream } from './read-messages-stream.ts';

/** Anthropic through the Messages API, in the version that the SDK sends (2026-10-21). */
export function createAnthropicProvider(options: ProviderOptions, setup: SendingSetup): Provider {
  const wire = messagesWire(createAnthropicClient(options), setup.now);
  return {
    name: options.name,
    kind: 'anthropic',
    call: (call, hooks) =>
      call.embedding ? Promise.reject(noEmbeddings(options.name)) : sendCall(wire, setup, call, hooks),
  };
}

/** The intake refuses such calls; a route that was changed since may still bring one here. */
function noEmbeddings(provider: string): Error {
  return makeFailure(
    { code: 'provider_refused_request', retry: false, scope: 'target', maybeBilled: false },
    {
      provider,
      httpStatus: null,
      providerCode: null,
      providerRequestId: null,
      usage: null,
      detail: 'Anthropic has no embeddings',
      retryAfterMs: null,
    },
  );
}

function messagesWire(client: Anthropic, now: () => number): VendorWire {
  return {
    requestIdHeader: 'request-id',
    open: (call, signal) =>
      client.messages
        .create(toMessagesRequest(call), {
          signal,
          timeout: call.timeoutMs + 5000,
          headers: { 'x-client-request-id': toRequestTag(call.requestTag) },
        })
        .asResponse(),
    // The client comes along for its log level: without one the SDK prints unreadable events, which hold the answer.
    read: (response, controller, record, onComplete) =>
      readMessagesStream(
        Stream.fromSSEResponse<RawMessageStreamEvent>(response, controller, client),
        record,
        onComplete,
      ),
    readLimits: (headers) => readAnthropicLimits(headers, now()),
    explain: explainAnthropicError,
  };
}
