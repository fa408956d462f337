import { vendorError, type VendorError } from '../http/vendor-error.ts';
import { isObject, listOf, numberOf, stringOf, type JsonObject } from '../json-value.ts';
import type { ModelCard } from '../model-catalogue.ts';
import { schemaProblem } from '../text/strict-schema.ts';

export function invalid(message: string, param: string | null, code: string | null = null): VendorError {
  return vendorError(400, 'invalid_request_error', message, { param, code });
}

export function modelNotFound(model: string): VendorError {
  const message = `The model \`${model}\` does not exist or you do not have access to it.`;
  return vendorError(404, 'invalid_request_error', message, { code: 'model_not_found' });
}

export function unknownParameter(body: JsonObject, known: ReadonlySet<string>): VendorError | null {
  const unknown = Object.keys(body).find((name) => !known.has(name));
  return unknown === undefined
    ? null
    : invalid(`Unknown parameter: '${unknown}'.`, unknown, 'unknown_parameter');
}

/** Reasoning models take no sampling parameters, unless they were told not to reason and allow it then. */
export function samplingProblem(
  body: JsonObject,
  card: ModelCard,
  effort: string | null,
): VendorError | null {
  if (!card.reasoning) return null;
  if (effort === 'none') {
    if (card.refusesEffortNone) {
      const message = `Unsupported value: 'none' is not supported with the '${card.id}' model. Supported values are: 'low', 'medium', 'high', 'xhigh', and 'max'.`;
      return invalid(message, 'reasoning_effort', 'unsupported_value');
    }
    if (card.samplingWithoutReasoning) return null;
  }
  for (const name of ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty']) {
    const usual = name.endsWith('penalty') ? 0 : 1;
    const value = body[name];
    if (value === undefined || value === null || value === usual) continue;
    const message = `Unsupported value: '${name}' does not support ${JSON.stringify(value)} with this model. Only the default (${usual}) value is supported.`;
    return invalid(message, name, 'unsupported_value');
  }
  return null;
}

/** At most 16 pairs of text, keys up to 64 and values up to 512 characters. */
export function metadataProblem(body: JsonObject): VendorError | null {
  const metadata = body['metadata'];
  if (metadata === undefined || metadata === null) return null;
  if (!isObject(metadata))
    return invalid("Invalid type for 'metadata': expected an object.", 'metadata', 'invalid_type');
  const pairs = Object.entries(metadata);
  if (pairs.length > 16) {
    return invalid(
      `Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with ${pairs.length} properties instead.`,
      'metadata',
      'object_above_max_properties',
    );
  }
  for (const [key, value] of pairs) {
    if (typeof value !== 'string') {
      return invalid(
        `Invalid type for 'metadata.${key}': expected a string.`,
        `metadata.${key}`,
        'invalid_type',
      );
    }
    if (key.length > 64)
      return invalid(
        `Invalid 'metadata': key too long. Expected at most 64 characters.`,
        'metadata',
        'string_above_max_length',
      );
    if (value.length > 512) {
      return invalid(
        `Invalid 'metadata.${key}': string too long. Expected a string with maximum length 512, but got a string with length ${value.length} instead.`,
        `metadata.${key}`,
        'string_above_max_length',
      );
    }
  }
  return null;
}

/** A positive whole number below the model's maximum, or absent. */
export function outputLimitProblem(value: unknown, name: string, card: ModelCard): VendorError | null {
  if (value === undefined || value === null) return null;
  const limit = numberOf(value);
  if (limit === null || !Number.isInteger(limit))
    return invalid(`Invalid type for '${name}': expected an integer.`, name, 'invalid_type');
  const minimum = name === 'max_output_tokens' ? 16 : 1;
  if (limit < minimum) {
    return invalid(
      `Invalid '${name}': integer below minimum value. Expected a value >= ${minimum}, but got ${limit} instead.`,
      name,
      'integer_below_min_value',
    );
  }
  if (limit <= card.maxOutputTokens) return null;
  return invalid(
    `${name} is too large: ${limit}. This model supports at most ${card.maxOutputTokens} completion tokens, whereas you provided ${limit}.`,
    name,
    'invalid_value',
  );
}

export function contextProblem(
  inputTokens: number,
  maxOutputTokens: number | null,
  card: ModelCard,
  param: string,
): VendorError | null {
  const wanted = inputTokens + (maxOutputTokens ?? 0);
  if (wanted <= card.contextTokens) return null;
  const message = `This model's maximum context length is ${card.contextTokens} tokens. However, you requested ${wanted} tokens (${inputTokens} in the messages, ${maxOutputTokens ?? 0} in the completion). Please reduce the length of the messages or completion.`;
  return invalid(message, param, 'context_length_exceeded');
}

/** Names and, where it is strict, rules of a schema for structured output. */
export function formatProblem(format: JsonObject, param: string): VendorError | null {
  const name = stringOf(format['name']);
  if (name === null || !/^[a-zA-Z0-9_-]{1,64}$/.test(name)) {
    return invalid(
      `Missing or invalid '${param}.name': expected ^[a-zA-Z0-9_-]{1,64}$.`,
      `${param}.name`,
      'invalid_value',
    );
  }
  const schema = format['schema'];
  if (!isObject(schema))
    return invalid(
      `Missing required parameter: '${param}.schema'.`,
      `${param}.schema`,
      'missing_required_parameter',
    );
  if (format['strict'] !== true) return null;
  const problem = schemaProblem(schema, 'openai_strict');
  if (problem === null) return null;
  return invalid(`Invalid schema for response_format '${name}': ${problem}`, param, 'invalid_json_schema');
}

/** The text of a message's content: a string, or parts of which the texts count. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .map((part) => (isObject(part) ? (stringOf(part['text']) ?? stringOf(part['refusal']) ?? '') : ''))
    .filter((text) => text !== '')
    .join('\n');
}

/** The tier that serves a call: `fast` and `priority` report `priority`. */
export function servedTier(requested: unknown): string {
  if (requested === 'flex') return 'flex';
  return requested === 'fast' || requested === 'priority' ? 'priority' : 'default';
}
