import type {
  MessageCreateParamsNonStreaming,
  MessageCreateParamsStreaming,
} from '@anthropic-ai/sdk/resources/messages';
import { transformJSONSchema } from '@anthropic-ai/sdk/lib/transform-json-schema';
import type { ProviderCall } from '../provider.ts';
import { withSchemaInstruction } from '../structured-output/schema-instruction.ts';

/** The body of a streamed `POST /v1/messages`. */
export function toMessagesRequest(call: ProviderCall): MessageCreateParamsStreaming {
  return { ...toMessagesBody(call), stream: true };
}

/**
 * What a call says to the Messages API, in realtime and in a batch. Structured output goes through `output_config.format` only: the newer models refuse a
 * forced tool choice. No sampling parameters, also where they are asked for: this API version refuses them, and a route's target of
 * another vendor may have taken them.
 */
export function toMessagesBody(call: ProviderCall): MessageCreateParamsNonStreaming {
  const schema = call.output === null ? null : toAnthropicSchema(call.output.schema);
  const system =
    call.output !== null && schema === null
      ? withSchemaInstruction(call.system, call.output.schema)
      : call.system;
  return {
    model: call.model,
    max_tokens: call.maxOutputTokens,
    messages: call.messages.map(({ role, content }) => ({ role, content })),
    ...(system === null ? {} : { system }),
    ...(schema === null ? {} : { output_config: { format: { type: 'json_schema', schema } } }),
  };
}

/**
 * The schema as Anthropic takes it: the SDK's own transform closes objects and moves the keywords that the vendor does not
 * enforce (lengths, bounds, …) into descriptions. Null when the schema cannot be expressed; then the model is told instead.
 */
function toAnthropicSchema(schema: Record<string, unknown>): Record<string, unknown> | null {
  // The transform closes every object, which would forbid the very keys that an open map is for.
  if (schema['type'] !== 'object' || hasOpenMap(schema)) return null;
  try {
    return transformJSONSchema(schema);
  } catch {
    return null;
  }
}

function hasOpenMap(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasOpenMap);
  if (typeof value !== 'object' || value === null) return false;
  const isObjectSchema = 'type' in value && value.type === 'object';
  if (isObjectSchema && !('properties' in value)) return true;
  if ('additionalProperties' in value && typeof value.additionalProperties === 'object') return true;
  return 'patternProperties' in value || Object.values(value).some(hasOpenMap);
}
