import type { Message } from '@anthropic-ai/sdk/resources/messages';
import type { AnswerRecord, Ending } from '../sending/answer-record.ts';
import { mergeMessagesUsage, parseMessagesUsage } from './messages-usage.ts';

/** Puts a whole message, as a batch's line holds it, into the record. */
export function recordMessage(message: Message, record: AnswerRecord): void {
  record.responseId = message.id;
  record.model = message.model;
  const hasOutputCount = noteUsage(record, message.usage);
  record.usageIsFinal = hasOutputCount && record.usage !== null;
  for (const block of message.content) {
    if (block.type === 'text') record.addText(block.text);
  }
  record.ending = endingOf(message.stop_reason);
}

/** Adds a usage block to what is known; true when the block told the output's count. */
export function noteUsage(record: AnswerRecord, usage: unknown): boolean {
  const block = parseMessagesUsage(usage);
  if (block === null) return false;
  const isFirst = record.usage === null;
  // A block without the input's count says nothing about the whole when it is the first.
  if (!isFirst || typeof block.input_tokens === 'number')
    record.usage = mergeMessagesUsage(record.usage, block);
  record.serviceTier = block.service_tier ?? record.serviceTier;
  return typeof block.output_tokens === 'number';
}

/** What a stop reason means; only some of them are answers. */
export function endingOf(stopReason: string | null): Ending {
  switch (stopReason) {
    case 'end_turn':
    case 'stop_sequence':
      return { kind: 'answered', finish: 'stop' };
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return { kind: 'answered', finish: 'length' };
    case 'refusal':
      return {
        kind: 'rejected',
        verdict: { code: 'content_refused', retry: false, scope: 'call', maybeBilled: true },
        providerCode: stopReason,
        message: null,
      };
    default:
      // We offer no tools, so `tool_use` and `pause_turn` are no answers.
      return {
        kind: 'rejected',
        verdict: { code: 'provider_bad_answer', retry: true, scope: 'call', maybeBilled: true },
        providerCode: stopReason,
        message: null,
      };
  }
}
