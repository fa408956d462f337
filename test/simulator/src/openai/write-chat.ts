import type { AnswerWriter } from '../answer/answer-writer.ts';
import { logprobOf, type Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import type { BilledTokens } from '../billing/bill.ts';
import type { JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';

/** Chat Completions: `chat.completion`, or chunks that end with `[DONE]`. */
export function writeChat(call: ModelCall, answer: Answer, simulator: Simulator): AnswerWriter {
  const id = simulator.nextId('chatcmpl-');
  const created = Math.floor(simulator.clock.realMs() / 1_000);
  const toolCallId = simulator.nextId('call_');
  const base = {
    id,
    created,
    model: call.model,
    service_tier: call.serviceTier,
    system_fingerprint: 'fp_simulator',
  };
  const chunkHead = `{"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(call.model)},"service_tier":${JSON.stringify(call.serviceTier)},"system_fingerprint":"fp_simulator",`;
  const usageField = call.includeUsage ? ',"usage":null' : '';

  function chunk(delta: string, finish: string | null, index: number, logprobs: string): string {
    const padding = call.includeObfuscation ? `,"obfuscation":"${PADDING.slice(0, (index * 7) % 16)}"` : '';
    return `data: ${chunkHead}"choices":[{"index":0,"delta":${delta},"logprobs":${logprobs},"finish_reason":${JSON.stringify(finish)}}]${usageField}${padding}}\n\n`;
  }

  return {
    whole: () => ({
      ...base,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', ...messageOf(answer, toolCallId), annotations: [] },
          logprobs:
            call.topLogprobs === null
              ? null
              : { content: allLogprobs(answer, call.topLogprobs), refusal: null },
          finish_reason: finishReason(answer),
        },
      ],
      ...(answer.told === null ? {} : { usage: usageOf(answer.told) }),
    }),
    opening() {
      if (answer.finish === 'refusal') return chunk('{"role":"assistant","refusal":""}', null, 0, 'null');
      if (answer.toolName === null)
        return chunk('{"role":"assistant","content":"","refusal":null}', null, 0, 'null');
      const toolCall = {
        index: 0,
        id: toolCallId,
        type: 'function',
        function: { name: answer.toolName, arguments: '' },
      };
      return chunk(
        JSON.stringify({ role: 'assistant', content: null, tool_calls: [toolCall] }),
        null,
        0,
        'null',
      );
    },
    token(text, index) {
      const said = JSON.stringify(text);
      if (answer.finish === 'refusal') return chunk(`{"refusal":${said}}`, null, index, 'null');
      if (answer.toolName !== null) {
        return chunk(`{"tool_calls":[{"index":0,"function":{"arguments":${said}}}]}`, null, index, 'null');
      }
      const logprobs =
        call.topLogprobs === null
          ? 'null'
          : JSON.stringify({ content: [tokenLogprob(text, index, answer, call.topLogprobs)], refusal: null });
      return chunk(`{"content":${said}}`, null, index, logprobs);
    },
    closing() {
      const last = chunk('{}', finishReason(answer), answer.tokens.length, 'null');
      const usage =
        call.includeUsage && answer.told !== null
          ? `data: ${chunkHead}"choices":[],"usage":${JSON.stringify(usageOf(answer.told))}}\n\n`
          : '';
      return `${last}${usage}data: [DONE]\n\n`;
    },
    failure: () =>
      `data: ${JSON.stringify({ error: { message: 'The server had an error while processing your request. Sorry about that!', type: 'server_error', param: null, code: 'server_error' } })}\n\n`,
  };
}

const PADDING = 'aZ3kQ9xLm2Pv7TnB';

function messageOf(answer: Answer, toolCallId: string): JsonObject {
  if (answer.finish === 'refusal') return { content: null, refusal: answer.text };
  if (answer.toolName === null) return { content: answer.text, refusal: null };
  const toolCall = {
    id: toolCallId,
    type: 'function',
    function: { name: answer.toolName, arguments: answer.text },
  };
  return { content: null, refusal: null, tool_calls: [toolCall] };
}

function finishReason(answer: Answer): string {
  if (answer.finish === 'length') return 'length';
  return answer.finish === 'tool' ? 'tool_calls' : 'stop';
}

function usageOf(tokens: BilledTokens): JsonObject {
  return {
    prompt_tokens: tokens.inputTokens,
    completion_tokens: tokens.outputTokens,
    total_tokens: tokens.inputTokens + tokens.outputTokens,
    prompt_tokens_details: {
      cached_tokens: tokens.cachedInputTokens,
      cache_write_tokens: tokens.cacheWriteTokens,
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: tokens.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function allLogprobs(answer: Answer, top: number): readonly JsonObject[] {
  return answer.tokens.map((token, index) => tokenLogprob(token, index, answer, top));
}

/** One token with its log probability and the next best ones, as both OpenAI endpoints give it. */
export function tokenLogprob(token: string, index: number, answer: Answer, top: number): JsonObject {
  const logprob = logprobOf(token, index, answer.unsure);
  const bytes = (text: string): number[] => [...Buffer.from(text)];
  // What the chosen token leaves over is shared out among its rivals.
  const rest = Math.max(1e-6, 1 - Math.exp(logprob));
  const rivals = Array.from({ length: Math.max(0, top - 1) }, (_, rank) => {
    const rival = RIVALS[(index + rank) % RIVALS.length] ?? ' a';
    return { token: rival, logprob: Math.log(rest / 2 ** (rank + 1)), bytes: bytes(rival) };
  });
  const best = top > 0 ? [{ token, logprob, bytes: bytes(token) }, ...rivals] : [];
  return { token, logprob, bytes: bytes(token), top_logprobs: best };
}

const RIVALS = [' the', ' a', ' other', ' this', ' no', ' it', ' one', ' and'];
