import type { AnswerFormat, ModelCall, ToolOffer, Turn } from '../answer/model-call.ts';
import type { VendorError } from '../http/vendor-error.ts';
import { isObject, listOf, numberOf, objectOf, stringOf, type JsonObject } from '../json-value.ts';
import type { ModelCard } from '../model-catalogue.ts';
import { readMarkers } from '../prompt-markers.ts';
import type { Simulator } from '../simulator.ts';
import {
  contentText,
  contextProblem,
  formatProblem,
  invalid,
  metadataProblem,
  modelNotFound,
  outputLimitProblem,
  samplingProblem,
  servedTier,
  unknownParameter,
} from './request-checks.ts';

/** Reads a Chat Completions request as the vendor does, or says what it would refuse. */
export function readChat(body: JsonObject, simulator: Simulator): ModelCall | VendorError {
  const model = stringOf(body['model']);
  if (model === null) return invalid('you must provide a model parameter', null);
  const messages = listOf(body['messages']);
  const card = simulator.models().find('openai', model);
  if (card === null || card.kind !== 'chat') return modelNotFound(model);
  const problem = requestProblem(body, card, messages);
  if (problem !== null) return problem;

  const { system, turns } = readMessages(messages);
  const promptText = [system, ...turns.map((turn) => turn.text)].filter((text) => text !== '').join('\n');
  const format = readFormat(body, promptText);
  if ('status' in format) return format;
  const inputTokens = inputTokensOf(simulator, messages, body);
  const maxOutputTokens = numberOf(body['max_completion_tokens']) ?? numberOf(body['max_tokens']);
  const tooLong = contextProblem(inputTokens, maxOutputTokens, card, 'messages');
  if (tooLong !== null) return tooLong;
  const streamOptions = objectOf(body['stream_options']);
  return {
    card,
    model,
    system,
    turns,
    promptText,
    markers: readMarkers(promptText),
    inputTokens,
    maxOutputTokens,
    format,
    tools: readTools(body),
    forcedTool: forcedTool(body['tool_choice']),
    stopSequences:
      typeof body['stop'] === 'string'
        ? [body['stop']]
        : listOf(body['stop']).filter((each) => typeof each === 'string'),
    stream: body['stream'] === true,
    includeUsage: streamOptions['include_usage'] === true,
    includeObfuscation: streamOptions['include_obfuscation'] !== false,
    topLogprobs: body['logprobs'] === true ? (numberOf(body['top_logprobs']) ?? 0) : null,
    serviceTier: servedTier(body['service_tier']),
    body,
  };
}

function requestProblem(body: JsonObject, card: ModelCard, messages: readonly unknown[]): VendorError | null {
  const unknown = unknownParameter(body, CHAT_PARAMETERS);
  if (unknown !== null) return unknown;
  if (messages.length === 0) {
    return invalid(
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      'messages',
      'empty_array',
    );
  }
  for (const [index, message] of messages.entries()) {
    const role = isObject(message) ? message['role'] : null;
    if (typeof role === 'string' && ROLES.has(role)) continue;
    return invalid(
      `Invalid value: ${JSON.stringify(role)}. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.`,
      `messages[${index}].role`,
      'invalid_value',
    );
  }
  if (card.reasoning && body['max_tokens'] !== undefined && body['max_tokens'] !== null) {
    return invalid(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      'max_tokens',
      'unsupported_parameter',
    );
  }
  if ((numberOf(body['n']) ?? 1) !== 1)
    return invalid('This simulator answers n=1 only.', 'n', 'unsupported_value');
  if (body['top_logprobs'] !== undefined && body['top_logprobs'] !== null && body['logprobs'] !== true) {
    return invalid("'top_logprobs' requires 'logprobs' to be true.", 'top_logprobs', 'invalid_value');
  }
  if (body['stream_options'] !== undefined && body['stream_options'] !== null && body['stream'] !== true) {
    return invalid(
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
      'stream_options',
    );
  }
  return (
    samplingProblem(body, card, stringOf(body['reasoning_effort'])) ??
    metadataProblem(body) ??
    outputLimitProblem(body['max_completion_tokens'], 'max_completion_tokens', card) ??
    outputLimitProblem(body['max_tokens'], 'max_tokens', card)
  );
}

function readMessages(messages: readonly unknown[]): { system: string; turns: readonly Turn[] } {
  const system: string[] = [];
  const turns: Turn[] = [];
  for (const message of messages) {
    const { role, content } = objectOf(message);
    const text = contentText(content);
    if (role === 'system' || role === 'developer') system.push(text);
    else turns.push({ role: role === 'assistant' ? 'assistant' : role === 'user' ? 'user' : 'tool', text });
  }
  return { system: system.join('\n'), turns };
}

function readFormat(body: JsonObject, promptText: string): AnswerFormat | VendorError {
  const format = body['response_format'];
  if (!isObject(format) || format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') {
    if (/json/i.test(promptText)) return { kind: 'json_object' };
    return invalid(
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
      'messages',
    );
  }
  if (format['type'] !== 'json_schema')
    return invalid(
      `Invalid value: ${JSON.stringify(format['type'])}.`,
      'response_format.type',
      'invalid_value',
    );
  const jsonSchema = objectOf(format['json_schema']);
  return (
    formatProblem(jsonSchema, 'response_format') ?? {
      kind: 'json_schema',
      schema: objectOf(jsonSchema['schema']),
    }
  );
}

/** Three tokens around each message and three for the answer's start, as the vendor's cookbook counts. */
function inputTokensOf(simulator: Simulator, messages: readonly unknown[], body: JsonObject): number {
  let total = 3;
  for (const message of messages) {
    const { content, tool_calls: toolCalls } = objectOf(message);
    total += 4 + simulator.counter.count(contentText(content));
    if (toolCalls !== undefined) total += simulator.counter.count(JSON.stringify(toolCalls));
  }
  for (const extra of [body['tools'], body['response_format']]) {
    if (isObject(extra) || Array.isArray(extra)) total += simulator.counter.count(JSON.stringify(extra));
  }
  return total;
}

function readTools(body: JsonObject): readonly ToolOffer[] {
  return listOf(body['tools']).flatMap((tool) => {
    const declared = objectOf(objectOf(tool)['function']);
    const name = stringOf(declared['name']);
    return name === null ? [] : [{ name, schema: objectOf(declared['parameters']) }];
  });
}

function forcedTool(choice: unknown): string | null {
  if (choice === 'required') return '*';
  return isObject(choice) ? stringOf(objectOf(choice['function'])['name']) : null;
}

const ROLES: ReadonlySet<string> = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

const CHAT_PARAMETERS: ReadonlySet<string> = new Set(
  (
    'messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens ' +
    'metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key ' +
    'prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier ' +
    'stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options'
  ).split(' '),
);
