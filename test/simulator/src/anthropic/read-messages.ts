import type { AnswerFormat, ModelCall, ToolOffer, Turn } from '../answer/model-call.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import { isObject, listOf, numberOf, objectOf, stringOf, type JsonObject } from '../json-value.ts';
import type { ModelCard } from '../model-catalogue.ts';
import { readMarkers } from '../prompt-markers.ts';
import type { Simulator } from '../simulator.ts';
import { schemaProblem } from '../text/strict-schema.ts';

/** The version from which sampling parameters are refused. */
const WITHOUT_SAMPLING = '2026-10-21';

function invalid(message: string): VendorError {
  return vendorError(400, 'invalid_request_error', message);
}

/** What a request is for: an answer, or only a count of its tokens. */
type MessagesPurpose = 'answer' | 'count' | 'batch';

/** Reads a Messages request as the vendor does at this API version, or says what it would refuse. */
export function readMessages(
  body: JsonObject,
  simulator: Simulator,
  version: string,
  purpose: MessagesPurpose,
): ModelCall | VendorError {
  const model = stringOf(body['model']);
  if (model === null) return invalid('model: Field required');
  const card = simulator.models().find('anthropic', model);
  if (card === null) return vendorError(404, 'not_found_error', `model: ${model}`);
  const problem = requestProblem(body, card, version, purpose);
  if (problem !== null) return problem;

  const { system, turns } = readTurns(body);
  const promptText = [system, ...turns.map((turn) => turn.text)].filter((text) => text !== '').join('\n');
  const format = readFormat(body);
  if ('status' in format) return format;
  const inputTokens = inputTokensOf(simulator, card, system, turns, body);
  if (inputTokens > card.contextTokens) {
    return invalid(`prompt is too long: ${inputTokens} tokens > ${card.contextTokens} maximum`);
  }
  return {
    card,
    model,
    system,
    turns,
    promptText,
    markers: readMarkers(promptText),
    inputTokens,
    maxOutputTokens: numberOf(body['max_tokens']),
    format,
    tools: readTools(body),
    forcedTool: forcedTool(body['tool_choice']),
    stopSequences: listOf(body['stop_sequences']).filter((each) => typeof each === 'string'),
    stream: body['stream'] === true,
    includeUsage: true,
    includeObfuscation: false,
    topLogprobs: null,
    serviceTier: purpose === 'batch' ? 'batch' : 'standard',
    body,
  };
}

function requestProblem(
  body: JsonObject,
  card: ModelCard,
  version: string,
  purpose: MessagesPurpose,
): VendorError | null {
  const unknown = Object.keys(body).find((name) => !MESSAGES_PARAMETERS.has(name));
  if (unknown !== undefined) return invalid(`${unknown}: Extra inputs are not permitted`);
  for (const name of ['temperature', 'top_p', 'top_k']) {
    if (body[name] === undefined) continue;
    if (version >= WITHOUT_SAMPLING) return invalid(`${name}: Extra inputs are not permitted`);
  }
  const messages = listOf(body['messages']);
  if (messages.length === 0) return invalid('messages: at least one message is required');
  for (const [index, message] of messages.entries()) {
    const { role, content } = objectOf(message);
    if (role !== 'user' && role !== 'assistant' && role !== 'system') {
      return invalid(`messages.${index}.role: Input should be 'user', 'assistant' or 'system'`);
    }
    if (contentOf(content) === '' && !Array.isArray(content)) {
      return invalid(`messages.${index}.content: text content blocks must be non-empty`);
    }
  }
  const last = objectOf(messages.at(-1));
  if (last['role'] === 'assistant' && card.refusesPrefill) {
    return invalid(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    );
  }
  const choice = objectOf(body['tool_choice'])['type'];
  if ((choice === 'any' || choice === 'tool') && card.refusesForcedTools) {
    return invalid(`tool_choice: forced tool use ("${choice}") is not supported by ${card.id}`);
  }
  return purpose === 'count' ? null : maxTokensProblem(body, card, purpose);
}

function maxTokensProblem(body: JsonObject, card: ModelCard, purpose: MessagesPurpose): VendorError | null {
  const limit = body['max_tokens'];
  if (limit === undefined) return invalid('max_tokens: Field required');
  if (typeof limit !== 'number' || !Number.isInteger(limit))
    return invalid('max_tokens: Input should be a valid integer');
  if (limit < 0 || (limit === 0 && purpose === 'batch'))
    return invalid('max_tokens: Input should be greater than 0');
  if (limit > card.maxOutputTokens) {
    return invalid(
      `max_tokens: ${limit} > ${card.maxOutputTokens}, which is the maximum allowed number of output tokens for ${card.id}`,
    );
  }
  if (purpose === 'batch' && (body['stream'] !== undefined || body['speed'] !== undefined)) {
    return invalid('stream, speed: not allowed in batch requests');
  }
  return null;
}

/** The text of a string or of the blocks that hold text. */
function contentOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .map((block) => {
      const fields = objectOf(block);
      if (fields['type'] === 'tool_result') return contentOf(fields['content']);
      if (fields['type'] === 'tool_use') return JSON.stringify(fields['input'] ?? {});
      if (fields['type'] === 'document') return stringOf(objectOf(fields['source'])['data']) ?? '';
      return stringOf(fields['text']) ?? '';
    })
    .filter((text) => text !== '')
    .join('\n');
}

function readTurns(body: JsonObject): { system: string; turns: readonly Turn[] } {
  const system = [contentOf(body['system'])];
  const turns: Turn[] = [];
  for (const message of listOf(body['messages'])) {
    const { role, content } = objectOf(message);
    const text = contentOf(content);
    const isResult = listOf(content).some((block) => objectOf(block)['type'] === 'tool_result');
    if (role === 'system') system.push(text);
    else turns.push({ role: role === 'assistant' ? 'assistant' : isResult ? 'tool' : 'user', text });
  }
  return { system: system.filter((text) => text !== '').join('\n'), turns };
}

function readFormat(body: JsonObject): AnswerFormat | VendorError {
  const format = objectOf(body['output_config'])['format'];
  if (!isObject(format)) return { kind: 'text' };
  const schema = format['schema'];
  if (format['type'] !== 'json_schema' || !isObject(schema))
    return invalid('output_config.format.schema: Field required');
  const problem = schemaProblem(schema, 'anthropic');
  return problem === null
    ? { kind: 'json_schema', schema }
    : invalid(`output_config.format.schema: ${problem}`);
}

function inputTokensOf(
  simulator: Simulator,
  card: ModelCard,
  system: string,
  turns: readonly Turn[],
  body: JsonObject,
): number {
  let total = 3 + (system === '' ? 0 : simulator.counter.count(system));
  for (const turn of turns) total += 4 + simulator.counter.count(turn.text);
  for (const extra of [body['tools'], objectOf(body['output_config'])['format']]) {
    if (isObject(extra) || Array.isArray(extra)) total += simulator.counter.count(JSON.stringify(extra));
  }
  return Math.ceil(total * card.inputTokenFactor);
}

function readTools(body: JsonObject): readonly ToolOffer[] {
  return listOf(body['tools']).flatMap((tool) => {
    const declared = objectOf(tool);
    const name = stringOf(declared['name']);
    return name === null ? [] : [{ name, schema: objectOf(declared['input_schema']) }];
  });
}

function forcedTool(choice: unknown): string | null {
  const { type, name } = objectOf(choice);
  if (type === 'any') return '*';
  return type === 'tool' ? stringOf(name) : null;
}

const MESSAGES_PARAMETERS: ReadonlySet<string> = new Set(
  (
    'max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier speed ' +
    'stop_sequences stream system thinking tool_choice tools user_profile_id workspace_id temperature top_p top_k'
  ).split(' '),
);
