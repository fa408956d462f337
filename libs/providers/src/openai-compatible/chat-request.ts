import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import type { ProviderCall } from '../provider.ts';
import { satisfiesStrictRules } from '../structured-output/openai-strict-schema.ts';

/**
 * The body of `POST /chat/completions`, in the part of the dialect that every server knows: the `system` role and
 * `max_tokens` (which OpenAI itself calls deprecated) instead of their successors.
 */
export function toChatRequest(call: ProviderCall): ChatCompletionCreateParamsStreaming {
  return {
    model: call.model,
    messages: [
      ...(call.system === null ? [] : [{ role: 'system' as const, content: call.system }]),
      ...call.messages.map(({ role, content }) => ({ role, content })),
    ],
    ...(call.output === null
      ? {}
      : {
          response_format: {
            type: 'json_schema',
            json_schema: {
              name: call.output.name,
              schema: call.output.schema,
              strict: satisfiesStrictRules(call.output.schema),
            },
          },
        }),
    ...(call.logprobs === true ? { logprobs: true } : {}),
    ...(call.temperature === undefined ? {} : { temperature: call.temperature }),
    ...(call.topP === undefined ? {} : { top_p: call.topP }),
    max_tokens: call.maxOutputTokens,
    stream: true,
    stream_options: { include_usage: true },
  };
}
