import type {
  ResponseCreateParamsNonStreaming,
  ResponseCreateParamsStreaming,
} from 'openai/resources/responses/responses';
import type { ProviderCall } from '../provider.ts';
import { hasObjectRoot, satisfiesStrictRules } from '../structured-output/openai-strict-schema.ts';
import { withSchemaInstruction } from '../structured-output/schema-instruction.ts';

/** OpenAI answers 400 below so many output tokens: a call that asks for fewer is sent, and priced, with these. */
export const smallestOpenaiOutput = 16;

/** The body of a streamed `POST /v1/responses`: {@link toResponsesBody} with the tier that the call asks for. */
export function toResponsesRequest(call: ProviderCall): ResponseCreateParamsStreaming {
  return {
    ...toResponsesBody(call),
    ...(call.serviceTier ? { service_tier: call.serviceTier } : {}),
    stream: true,
  };
}

/**
 * What a call says to the Responses API, in realtime and in a batch. `store: false`: results are kept here, not at OpenAI.
 * Sampling parameters only as they were asked for: the reasoning models refuse them.
 */
export function toResponsesBody(call: ProviderCall): ResponseCreateParamsNonStreaming {
  const canEnforce = call.output !== null && hasObjectRoot(call.output.schema);
  const instructions =
    call.output !== null && !canEnforce
      ? withSchemaInstruction(call.system, call.output.schema)
      : call.system;
  return {
    model: call.model,
    input: call.messages.map(({ role, content }) => ({ role, content })),
    ...(instructions === null ? {} : { instructions }),
    ...(call.output !== null && canEnforce
      ? {
          text: {
            format: {
              type: 'json_schema',
              name: call.output.name,
              schema: call.output.schema,
              strict: satisfiesStrictRules(call.output.schema),
            },
          },
        }
      : {}),
    ...(call.logprobs === true ? { include: ['message.output_text.logprobs' as const] } : {}),
    ...(call.temperature === undefined ? {} : { temperature: call.temperature }),
    ...(call.topP === undefined ? {} : { top_p: call.topP }),
    max_output_tokens: Math.max(smallestOpenaiOutput, call.maxOutputTokens),
    store: false,
  };
}
