import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { AnswerRecord, Ending } from '../sending/answer-record.ts';
import { readLogprobs } from '../sending/read-logprobs.ts';
import { readChatUsage } from './chat-usage.ts';

/**
 * Reads a Chat Completions stream. A choice's `finish_reason` is the terminal mark: `[DONE]` and the usage come after it,
 * and a connection that closes before it leaves `record.ending` null. Without a usage chunk the usage is estimated later.
 */
export async function readChatStream(
  events: AsyncIterable<ChatCompletionChunk>,
  record: AnswerRecord,
  onComplete: () => void,
): Promise<void> {
  let isRefused = false;
  for await (const chunk of events) {
    record.responseId = chunk.id;
    record.model = chunk.model;
    record.serviceTier = chunk.service_tier ?? record.serviceTier;
    const choice = chunk.choices[0];
    if (choice?.delta?.content) record.addText(choice.delta.content);
    for (const logprob of readLogprobs(choice?.logprobs?.content)) record.addLogprob(logprob);
    if (choice?.delta?.refusal) isRefused = true;
    if (choice?.finish_reason) record.ending = endingOf(choice.finish_reason, isRefused);
    const usage = readChatUsage(chunk.usage);
    if (usage === null) continue;
    record.usage = usage;
    // Some servers send a running count with every chunk: only what comes with or after the end is the whole.
    if (record.ending === null) continue;
    record.usageIsFinal = true;
    onComplete();
  }
}

function endingOf(reason: string, isRefused: boolean): Ending {
  if (isRefused || reason === 'content_filter') {
    return {
      kind: 'rejected',
      verdict: { code: 'content_refused', retry: false, scope: 'call', maybeBilled: true },
      providerCode: isRefused ? 'refusal' : reason,
      message: null,
    };
  }
  if (reason === 'stop') return { kind: 'answered', finish: 'stop' };
  if (reason === 'length') return { kind: 'answered', finish: 'length' };
  // We offer no tools, so a tool call (or an abort reported as an end) is no answer.
  return {
    kind: 'rejected',
    verdict: { code: 'provider_bad_answer', retry: true, scope: 'call', maybeBilled: true },
    providerCode: reason,
    message: null,
  };
}
