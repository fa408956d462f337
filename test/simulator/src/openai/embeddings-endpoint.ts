import type { AnswerWriter } from '../answer/answer-writer.ts';
import type { Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import type { CallEndpoint } from '../answer/serve-call.ts';
import type { VendorError } from '../http/vendor-error.ts';
import { listOf, numberOf, stringOf, type JsonObject } from '../json-value.ts';
import { readMarkers } from '../prompt-markers.ts';
import { hashText } from '../random-source.ts';
import { keyWordsOf } from '../text/sentences.ts';
import type { Simulator } from '../simulator.ts';
import { invalid, modelNotFound, unknownParameter } from './request-checks.ts';

const MAX_INPUTS = 2_048;
const MAX_TOKENS_PER_REQUEST = 300_000;

/** `POST /v1/embeddings`: a call that reads and says nothing; texts that share words lie close together. */
export function embeddingsEndpoint(): CallEndpoint {
  return { maxBodyBytes: 64 * 1024 * 1024, read: readEmbeddings, write: writeEmbeddings };
}

export function readEmbeddings(body: JsonObject, simulator: Simulator): ModelCall | VendorError {
  const model = stringOf(body['model']);
  if (model === null) return invalid('you must provide a model parameter', null);
  const card = simulator.models().find('openai', model);
  if (card === null || card.kind !== 'embedding') return modelNotFound(model);
  const unknown = unknownParameter(body, EMBEDDING_PARAMETERS);
  if (unknown !== null) return unknown;
  const inputs = inputsOf(body['input']);
  if (inputs === null || inputs.length === 0)
    return invalid(
      "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
      'input',
    );
  if (inputs.length > MAX_INPUTS)
    return invalid(`'input' must have at most ${MAX_INPUTS} items.`, 'input', 'array_above_max_length');
  let inputTokens = 0;
  for (const input of inputs) {
    const tokens = input.tokens ?? simulator.counter.count(input.text);
    if (tokens === 0) return invalid("'input' cannot be an empty string.", 'input');
    if (tokens > card.contextTokens) {
      return invalid(
        `Invalid 'input': maximum input length is ${card.contextTokens} tokens.`,
        'input',
        'context_length_exceeded',
      );
    }
    inputTokens += tokens;
  }
  if (inputTokens > MAX_TOKENS_PER_REQUEST) {
    return invalid(
      `Invalid 'input': requested ${inputTokens} tokens, max ${MAX_TOKENS_PER_REQUEST} tokens per request.`,
      'input',
      'max_tokens_per_request',
    );
  }
  const promptText = inputs.map((input) => input.text).join('\n');
  return {
    card,
    model,
    system: '',
    turns: [],
    promptText,
    // Whatever the text orders, an embedding call says nothing.
    markers: { ...readMarkers(promptText), reply: '', tokens: null },
    inputTokens,
    maxOutputTokens: null,
    format: { kind: 'text' },
    tools: [],
    forcedTool: null,
    stopSequences: [],
    stream: false,
    includeUsage: true,
    includeObfuscation: false,
    topLogprobs: null,
    serviceTier: 'default',
    body,
  };
}

export function writeEmbeddings(call: ModelCall, answer: Answer): AnswerWriter {
  const dimensions = numberOf(call.body['dimensions']) ?? (call.card.id.endsWith('large') ? 3_072 : 1_536);
  const base64 = call.body['encoding_format'] === 'base64';
  const whole = (): object => ({
    object: 'list',
    data: (inputsOf(call.body['input']) ?? []).map((input, index) => {
      const vector = embed(input.text, dimensions);
      const embedding = base64 ? Buffer.from(vector.buffer).toString('base64') : [...vector];
      return { object: 'embedding', index, embedding };
    }),
    model: call.model,
    ...(answer.told === null
      ? {}
      : { usage: { prompt_tokens: answer.told.inputTokens, total_tokens: answer.told.inputTokens } }),
  });
  return { whole, opening: () => '', token: () => '', closing: () => '', failure: () => '' };
}

interface EmbeddingInput {
  readonly text: string;
  /** Known when the client sent tokens instead of text. */
  readonly tokens: number | null;
}

/** A text, texts, tokens, or lists of tokens. */
function inputsOf(input: unknown): readonly EmbeddingInput[] | null {
  if (typeof input === 'string') return [{ text: input, tokens: null }];
  const items = listOf(input);
  if (items.every((item) => typeof item === 'string')) return items.map((text) => ({ text, tokens: null }));
  if (items.every((item) => typeof item === 'number'))
    return [{ text: items.join(' '), tokens: items.length }];
  if (items.every((item) => Array.isArray(item))) {
    return items.map((tokens) => ({ text: listOf(tokens).join(' '), tokens: listOf(tokens).length }));
  }
  return null;
}

/** How far a place without a word is from 0: a vendor's vectors have no zeros, and zeros would be short in JSON. */
const NOISE = 0.05;

/**
 * Each key word adds to sixteen places that its hash names, the text as a whole a little to every place; the sum is scaled to
 * length 1. Little endian here and on the wire.
 */
function embed(text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dimensions);
  let state = hashText(text);
  for (let index = 0; index < dimensions; index += 1) {
    // Numerical Recipes' linear congruential generator.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    vector[index] = NOISE * (state / 2 ** 31 - 1);
  }
  const words = keyWordsOf(text);
  for (const word of words.length > 0 ? words : [text]) {
    for (let place = 0; place < 16; place += 1) {
      const hash = hashText(`${word}/${place}`);
      const index = hash % dimensions;
      vector[index] = (vector[index] ?? 0) + ((hash >>> 16) % 2 === 0 ? 1 : -1);
    }
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

const EMBEDDING_PARAMETERS: ReadonlySet<string> = new Set([
  'input',
  'model',
  'dimensions',
  'encoding_format',
  'user',
]);
