import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import type { AnswerRecord } from '../sending/answer-record.ts';
import { endingOf, noteUsage } from './record-message.ts';

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
