import type { AnswerWriter } from '../answer/answer-writer.ts';
import type { Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import type { BilledTokens } from '../billing/bill.ts';
import { parseJson, type JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';

/** The Messages endpoint: a message, or its life as named events from `message_start` to `message_stop`. */
export function writeMessages(call: ModelCall, answer: Answer, simulator: Simulator): AnswerWriter {
  const id = simulator.nextId('msg_01');
  const toolUse =
    answer.toolName === null
      ? null
      : {
          type: 'tool_use',
          id: simulator.nextId('toolu_01'),
          name: answer.toolName,
          caller: { type: 'direct' },
        };
  const silent = answer.tokens.length === 0;
  const base = {
    id,
    type: 'message',
    role: 'assistant',
    model: call.model,
    container: null,
    diagnostics: null,
  };
  const block = toolUse === null ? { type: 'text', text: '', citations: null } : { ...toolUse, input: {} };
  return {
    whole: () => ({
      ...base,
      content: contentOf(answer, toolUse),
      ...stopFields(answer),
      ...(answer.told === null
        ? {}
        : { usage: usageOf(answer.told, answer.told.outputTokens, call.serviceTier) }),
    }),
    opening() {
      const told = answer.told;
      const message = {
        ...base,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        stop_details: null,
        ...(told === null ? {} : { usage: usageOf(told, silent ? 0 : 1, call.serviceTier) }),
      };
      const start = event('message_start', { message });
      if (silent) return start;
      return `${start}${event('content_block_start', { index: 0, content_block: block })}${event('ping', {})}`;
    },
    token(text) {
      const delta =
        toolUse === null
          ? `{"type":"text_delta","text":${JSON.stringify(text)}}`
          : `{"type":"input_json_delta","partial_json":${JSON.stringify(text)}}`;
      return `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":${delta}}\n\n`;
    },
    closing() {
      const told = answer.told;
      const usage =
        told === null
          ? {}
          : {
              usage: {
                ...cacheFields(told),
                output_tokens: told.outputTokens,
                output_tokens_details: { thinking_tokens: 0 },
                server_tool_use: null,
              },
            };
      return (
        (silent ? '' : event('content_block_stop', { index: 0 })) +
        event('message_delta', { delta: { container: null, ...stopFields(answer) }, ...usage }) +
        event('message_stop', {})
      );
    },
    failure: (form) =>
      event('error', {
        error:
          form === 'api_error'
            ? { type: 'api_error', message: 'Internal server error' }
            : { type: 'overloaded_error', message: 'Overloaded' },
        request_id: simulator.nextId('req_01'),
      }),
  };
}

function event(type: string, fields: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

function contentOf(answer: Answer, toolUse: JsonObject | null): readonly JsonObject[] {
  if (toolUse !== null) return [{ ...toolUse, input: parseJson(answer.text) ?? {} }];
  return answer.text === '' ? [] : [{ type: 'text', text: answer.text, citations: null }];
}

function stopFields(answer: Answer): JsonObject {
  const explanation = {
    type: 'refusal',
    category: 'general_harms',
    explanation: 'The request was declined by a safety classifier.',
  };
  return {
    stop_reason: STOP_REASONS[answer.finish],
    stop_sequence: answer.stopSequence,
    stop_details: answer.finish === 'refusal' ? explanation : null,
  };
}

const STOP_REASONS: Readonly<Record<Answer['finish'], string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  stop_sequence: 'stop_sequence',
  tool: 'tool_use',
  refusal: 'refusal',
};

/** The vendor's input count leaves out what was read from or written to the cache. */
function cacheFields(tokens: BilledTokens): JsonObject {
  return {
    input_tokens: Math.max(0, tokens.inputTokens - tokens.cachedInputTokens - tokens.cacheWriteTokens),
    cache_creation_input_tokens: tokens.cacheWriteTokens,
    cache_read_input_tokens: tokens.cachedInputTokens,
  };
}

function usageOf(tokens: BilledTokens, outputTokens: number, serviceTier: string): JsonObject {
  return {
    ...cacheFields(tokens),
    cache_creation: { ephemeral_5m_input_tokens: tokens.cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { thinking_tokens: 0 },
    server_tool_use: null,
    service_tier: serviceTier,
    inference_geo: null,
    speed: 'standard',
  };
}
