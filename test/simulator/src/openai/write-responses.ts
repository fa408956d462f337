import type { AnswerWriter } from '../answer/answer-writer.ts';
import type { Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import type { BilledTokens } from '../billing/bill.ts';
import { objectOf, type JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import { tokenLogprob } from './write-chat.ts';

/** Called with the finished response, so that `GET /responses/{id}` can give it again. */
type KeepResponse = (response: JsonObject) => void;

/** The Responses endpoint: a response object, or its life as named events with sequence numbers. */
export function writeResponses(
  call: ModelCall,
  answer: Answer,
  simulator: Simulator,
  keep: KeepResponse,
): AnswerWriter {
  const id = simulator.nextId('resp_');
  const item = createItem(call, answer, simulator);
  const createdAt = simulator.clock.realMs() / 1_000;
  let sequence = 0;
  let said = '';

  function event(type: string, fields: JsonObject): string {
    const data = JSON.stringify({ type, sequence_number: sequence, ...fields });
    sequence += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  }
  function response(status: string, text: string | null): JsonObject {
    const full = responseObject(call, answer, id, createdAt, status, text === null ? [] : [item.done(text)]);
    if (text !== null) keep(full);
    return full;
  }
  const ended = answer.finish === 'length' ? 'incomplete' : 'completed';
  return {
    whole: () => response(ended, answer.text),
    opening: () =>
      event('response.created', { response: response('in_progress', null) }) +
      event('response.in_progress', { response: response('in_progress', null) }) +
      event('response.output_item.added', { output_index: 0, item: item.added() }) +
      (item.part === null
        ? ''
        : event('response.content_part.added', { ...item.place, content_index: 0, part: item.part('') })),
    token(text, index) {
      said += text;
      const place = item.part === null ? item.place : { ...item.place, content_index: 0 };
      const logprobs =
        item.deltaEvent !== 'response.output_text.delta'
          ? {}
          : {
              logprobs:
                call.topLogprobs === null ? [] : [tokenLogprob(text, index, answer, call.topLogprobs)],
            };
      return event(item.deltaEvent, { ...place, delta: text, ...logprobs });
    },
    closing: () =>
      event(item.doneEvent, item.doneFields(said)) +
      (item.part === null
        ? ''
        : event('response.content_part.done', { ...item.place, content_index: 0, part: item.part(said) })) +
      event('response.output_item.done', { output_index: 0, item: item.done(said) }) +
      event(`response.${ended}`, { response: response(ended, said) }),
    failure(form) {
      const message = 'The server had an error while processing your request. Sorry about that!';
      if (form !== 'failed') return event('error', { code: 'server_error', message, param: null });
      const failed = { ...response('failed', null), error: { code: 'server_error', message }, usage: null };
      return event('response.failed', { response: failed });
    },
  };
}

interface OutputItem {
  readonly place: JsonObject;
  readonly deltaEvent: string;
  readonly doneEvent: string;
  readonly part: ((text: string) => JsonObject) | null;
  added(): JsonObject;
  done(text: string): JsonObject;
  doneFields(text: string): JsonObject;
}

/** The one output item of an answer: a message with text or a refusal, or a function call. */
function createItem(call: ModelCall, answer: Answer, simulator: Simulator): OutputItem {
  const status = answer.finish === 'length' ? 'incomplete' : 'completed';
  if (answer.toolName !== null) {
    const id = simulator.nextId('fc_');
    const base = { id, type: 'function_call', call_id: simulator.nextId('call_'), name: answer.toolName };
    const place = { item_id: id, output_index: 0 };
    return {
      place,
      deltaEvent: 'response.function_call_arguments.delta',
      doneEvent: 'response.function_call_arguments.done',
      part: null,
      added: () => ({ ...base, arguments: '', status: 'in_progress' }),
      done: (text) => ({ ...base, arguments: text, status }),
      doneFields: (text) => ({ ...place, name: answer.toolName, arguments: text }),
    };
  }
  const id = simulator.nextId('msg_');
  const place = { item_id: id, output_index: 0 };
  const refused = answer.finish === 'refusal';
  const message = { id, type: 'message', role: 'assistant' };
  const logprobs = (): JsonObject[] =>
    call.topLogprobs === null
      ? []
      : answer.tokens.map((token, index) => tokenLogprob(token, index, answer, call.topLogprobs ?? 0));
  const part = (text: string): JsonObject =>
    refused
      ? { type: 'refusal', refusal: text }
      : { type: 'output_text', text, annotations: [], logprobs: text === '' ? [] : logprobs() };
  return {
    place,
    deltaEvent: refused ? 'response.refusal.delta' : 'response.output_text.delta',
    doneEvent: refused ? 'response.refusal.done' : 'response.output_text.done',
    part,
    added: () => ({ ...message, status: 'in_progress', content: [] }),
    done: (text) => ({ ...message, status, content: [part(text)] }),
    doneFields: (text) => ({
      ...place,
      content_index: 0,
      ...(refused ? { refusal: text } : { text, logprobs: [] }),
    }),
  };
}

/** A response object with every field that the vendor always sends. */
export function responseObject(
  call: ModelCall,
  answer: Answer | null,
  id: string,
  createdAt: number,
  status: string,
  output: readonly JsonObject[],
): JsonObject {
  const { body } = call;
  const over = status === 'completed' || status === 'incomplete';
  return {
    id,
    object: 'response',
    created_at: Math.floor(createdAt),
    status,
    background: body['background'] === true,
    completed_at: status === 'completed' ? Math.floor(createdAt) : null,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: body['instructions'] ?? null,
    max_output_tokens: call.maxOutputTokens,
    max_tool_calls: null,
    metadata: body['metadata'] ?? {},
    model: call.model,
    output,
    parallel_tool_calls: body['parallel_tool_calls'] ?? true,
    previous_response_id: body['previous_response_id'] ?? null,
    reasoning: { effort: objectOf(body['reasoning'])['effort'] ?? null, summary: null },
    service_tier: over ? call.serviceTier : 'auto',
    store: body['store'] ?? true,
    temperature: body['temperature'] ?? 1,
    text: { format: { type: 'text' }, verbosity: 'medium', ...objectOf(body['text']) },
    tool_choice: body['tool_choice'] ?? 'auto',
    tools: body['tools'] ?? [],
    top_logprobs: call.topLogprobs ?? 0,
    top_p: body['top_p'] ?? 1,
    truncation: 'disabled',
    user: null,
    ...(over && answer?.told === null
      ? {}
      : { usage: over && answer?.told ? responsesUsage(answer.told) : null }),
  };
}

function responsesUsage(tokens: BilledTokens): JsonObject {
  return {
    input_tokens: tokens.inputTokens,
    input_tokens_details: {
      cached_tokens: tokens.cachedInputTokens,
      cache_write_tokens: tokens.cacheWriteTokens,
    },
    output_tokens: tokens.outputTokens,
    output_tokens_details: { reasoning_tokens: tokens.reasoningTokens },
    total_tokens: tokens.inputTokens + tokens.outputTokens,
  };
}
