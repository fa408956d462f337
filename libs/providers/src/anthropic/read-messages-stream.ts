import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import type { AnswerRecord, Ending } from '../sending/answer-record.ts';
import { mergeMessagesUsage, parseMessagesUsage } from './messages-usage.ts';

/**
 * Reads a Messages stream. `message_delta` names the stop reason and the usage, but only `message_stop` ends the answer; a
 * connection that closes before it leaves `record.ending` null with the usage known so far (the input's from the start).
 */
export async function readMessagesStream(
  events: AsyncIterable<RawMessageStreamEvent>,
  record: AnswerRecord,
  onComplete: () => void,
): Promise<void> {
  let stopReason: string | null = null;
  let hasOutputCount = false;
  for await (const event of events) {
    switch (event.type) {
      case 'message_start':
        record.responseId = event.message.id;
        record.model = event.message.model;
        noteUsage(record, event.message.usage);
        break;
      case 'content_block_start':
        if (event.content_block.type === 'text') record.addText(event.content_block.text);
        break;
      case 'content_block_delta':
        if (event.delta.type === 'text_delta') record.addText(event.delta.text);
        break;
      case 'message_delta':
        stopReason = event.delta.stop_reason;
        hasOutputCount = noteUsage(record, event.usage);
        break;
      case 'message_stop':
        record.usageIsFinal = hasOutputCount && record.usage !== null;
        record.ending = endingOf(stopReason);
        onComplete();
        break;
      default:
    }
  }
}

/** True when the block told the output's count. */
function noteUsage(record: AnswerRecord, usage: unknown): boolean {
  const block = parseMessagesUsage(usage);
  if (block === null) return false;
  const isFirst = record.usage === null;
  // A block without the input's count says nothing about the whole when it is the first.
  if (!isFirst || typeof block.input_tokens === 'number')
    record.usage = mergeMessagesUsage(record.usage, block);
  record.serviceTier = block.service_tier ?? record.serviceTier;
  return typeof block.output_tokens === 'number';
}

function endingOf(stopReason: string | null): Ending {
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
