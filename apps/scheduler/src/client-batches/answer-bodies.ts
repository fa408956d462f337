import type { ClientLineResult } from '@millrace/ledger';
import { unknownSettings } from './response-settings.ts';
import type { ResponseSettings } from './response-settings.ts';

/** The body of an answered `/v1/chat/completions` line, as OpenAI writes it. */
export function toChatCompletion(line: ClientLineResult): object {
  return {
    id: `chatcmpl-${line.jobId}`,
    object: 'chat.completion',
    created: secondsOf(line),
    model: modelOf(line),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: textOf(line), refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: line.truncated ? 'length' : 'stop',
      },
    ],
    usage: {
      prompt_tokens: line.inputTokens,
      completion_tokens: line.outputTokens,
      total_tokens: line.inputTokens + line.outputTokens,
      prompt_tokens_details: { cached_tokens: line.cachedInputTokens, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: line.reasoningTokens,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
  };
}

/** The body of an answered `/v1/responses` line, as OpenAI writes it. */
export function toResponse(line: ClientLineResult, settings: ResponseSettings = unknownSettings): object {
  const status = line.truncated ? 'incomplete' : 'completed';
  return {
    id: `resp_${line.jobId}`,
    object: 'response',
    created_at: secondsOf(line),
    status,
    error: null,
    incomplete_details: line.truncated ? { reason: 'max_output_tokens' } : null,
    model: modelOf(line),
    ...settings,
    tools: [],
    access_programs: null,
    output: [
      {
        type: 'message',
        id: `msg_${line.jobId}`,
        status,
        role: 'assistant',
        content: [{ type: 'output_text', text: textOf(line), annotations: [], logprobs: [] }],
      },
    ],
    usage: {
      input_tokens: line.inputTokens,
      input_tokens_details: { cached_tokens: line.cachedInputTokens },
      output_tokens: line.outputTokens,
      output_tokens_details: { reasoning_tokens: line.reasoningTokens },
      total_tokens: line.inputTokens + line.outputTokens,
    },
  };
}

/**
 * The body of an answered `/v1/embeddings` line, as OpenAI writes it, but for its `data`: `entries` makes those one at a time, for
 * 2,048 vectors are tens of megabytes as numbers.
 */
export function toEmbeddings(line: ClientLineResult): { body: object; entries: Iterable<object> } {
  const usage = { prompt_tokens: line.inputTokens, total_tokens: line.inputTokens };
  return { body: { object: 'list', data: [], model: modelOf(line), usage }, entries: toEntries(line) };
}

function* toEntries({ output, encodingFormat }: ClientLineResult): Generator<object, void> {
  const toVector = encodingFormat === 'float' ? toNumbers : (vector: unknown) => vector;
  for (const [index, vector] of (Array.isArray(output) ? output : []).entries()) {
    yield { object: 'embedding', index, embedding: toVector(vector) };
  }
}

/** 32-bit floats, little endian, in base64. */
function toNumbers(vector: unknown): unknown {
  if (typeof vector !== 'string') return vector;
  const bytes = Buffer.from(vector, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

/**
 * The vendor's clients expect a structured output as text. The ledger keeps its checked value only, so this is not the text that
 * it was: the white space is gone, and whole numbers beyond 2^53 are rounded.
 */
function textOf({ output }: ClientLineResult): string {
  return typeof output === 'string' ? output : JSON.stringify(output);
}

/** The model that answered; of a target `provider/model` what the provider calls it. */
function modelOf({ target }: ClientLineResult): string | null {
  return target === null ? null : target.slice(target.indexOf('/') + 1);
}

function secondsOf({ finishedAt }: ClientLineResult): number {
  return Math.floor((finishedAt ?? 0) / 1_000);
}
