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

/** Reads a Responses request as the vendor does, or says what it would refuse. */
export function readResponses(body: JsonObject, simulator: Simulator): ModelCall | VendorError {
  const model = stringOf(body['model']);
  if (model === null)
    return invalid("Missing required parameter: 'model'.", 'model', 'missing_required_parameter');
  const card = simulator.models().find('openai', model);
  if (card === null || card.kind !== 'chat') return { ...modelNotFound(model), status: 400, param: 'model' };
  const problem = requestProblem(body, card);
  if (problem !== null) return problem;

  const { system, turns } = readInput(body);
  if (turns.length === 0)
    return invalid("Missing required parameter: 'input'.", 'input', 'missing_required_parameter');
  const promptText = [system, ...turns.map((turn) => turn.text)].filter((text) => text !== '').join('\n');
  const format = readFormat(body, promptText);
  if ('status' in format) return format;
  const inputTokens = inputTokensOf(simulator, system, turns, body);
  const maxOutputTokens = numberOf(body['max_output_tokens']);
  const tooLong = contextProblem(inputTokens, null, card, 'input');
  if (tooLong !== null) return tooLong;
  const include = listOf(body['include']);
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
    stopSequences: [],
    stream: body['stream'] === true,
    includeUsage: true,
    includeObfuscation: objectOf(body['stream_options'])['include_obfuscation'] !== false,
    topLogprobs: include.includes('message.output_text.logprobs')
      ? (numberOf(body['top_logprobs']) ?? 0)
      : null,
    serviceTier: servedTier(body['service_tier']),
    body,
  };
}

function requestProblem(body: JsonObject, card: ModelCard): VendorError | null {
  const unknown = unknownParameter(body, RESPONSES_PARAMETERS);
  if (unknown !== null) return unknown;
  if (body['background'] === true && body['store'] === false) {
    return invalid("Background responses require 'store' to be true.", 'background', 'invalid_value');
  }
  return (
    samplingProblem(body, card, stringOf(objectOf(body['reasoning'])['effort'])) ??
    metadataProblem(body) ??
    outputLimitProblem(body['max_output_tokens'], 'max_output_tokens', card)
  );
}

/** `input` is a text or a list of items: messages, function calls and their outputs. */
function readInput(body: JsonObject): { system: string; turns: readonly Turn[] } {
  const system = [stringOf(body['instructions']) ?? ''].filter((text) => text !== '');
  const input = body['input'];
  if (typeof input === 'string') return { system: system.join('\n'), turns: [{ role: 'user', text: input }] };
  const turns: Turn[] = [];
  for (const item of listOf(input)) {
    const fields = objectOf(item);
    if (fields['type'] === 'function_call_output') {
      turns.push({ role: 'tool', text: contentText(fields['output']) });
    } else if (fields['type'] === 'function_call') {
      turns.push({ role: 'assistant', text: stringOf(fields['arguments']) ?? '' });
    } else if (fields['role'] === 'system' || fields['role'] === 'developer') {
      system.push(contentText(fields['content']));
    } else if (fields['role'] !== undefined) {
      turns.push({
        role: fields['role'] === 'assistant' ? 'assistant' : 'user',
        text: contentText(fields['content']),
      });
    }
  }
  return { system: system.join('\n'), turns };
}

function readFormat(body: JsonObject, promptText: string): AnswerFormat | VendorError {
  const format = objectOf(body['text'])['format'];
  if (!isObject(format) || format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') {
    if (/json/i.test(promptText)) return { kind: 'json_object' };
    return invalid(
      "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
      'input',
    );
  }
  if (format['type'] !== 'json_schema')
    return invalid(`Invalid value: ${JSON.stringify(format['type'])}.`, 'text.format.type', 'invalid_value');
  return formatProblem(format, 'text.format') ?? { kind: 'json_schema', schema: objectOf(format['schema']) };
}

function inputTokensOf(
  simulator: Simulator,
  system: string,
  turns: readonly Turn[],
  body: JsonObject,
): number {
  let total = 3 + (system === '' ? 0 : 4 + simulator.counter.count(system));
  for (const turn of turns) total += 4 + simulator.counter.count(turn.text);
  for (const extra of [body['tools'], objectOf(body['text'])['format']]) {
    if (isObject(extra) || Array.isArray(extra)) total += simulator.counter.count(JSON.stringify(extra));
  }
  return total;
}

function readTools(body: JsonObject): readonly ToolOffer[] {
  return listOf(body['tools']).flatMap((tool) => {
    const declared = objectOf(tool);
    const name = stringOf(declared['name']);
    return name === null ? [] : [{ name, schema: objectOf(declared['parameters']) }];
  });
}

function forcedTool(choice: unknown): string | null {
  if (choice === 'required') return '*';
  return isObject(choice) ? stringOf(choice['name']) : null;
}

const RESPONSES_PARAMETERS: ReadonlySet<string> = new Set(
  (
    'access_programs background context_management conversation image include input instructions max_output_tokens ' +
    'max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key ' +
    'prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options ' +
    'temperature text tool_choice tools top_logprobs top_p truncation user'
  ).split(' '),
);
