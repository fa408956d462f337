import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import type { AnswerRecord } from '../sending/answer-record.ts';
import { recordResponse } from './record-response.ts';

/**
 * Reads a Responses stream. Only `response.completed`, `.incomplete` and `.failed` end it; a connection that closes before
 * one of them leaves `record.ending` null (the SDK itself does not throw then). Unknown events, such as the undocumented
 * `keepalive`, pass.
 */
export async function readResponsesStream(
  events: AsyncIterable<ResponseStreamEvent>,
  record: AnswerRecord,
  onComplete: () => void,
): Promise<void> {
  const commentary = new Set<string>();
  for await (const event of events) {
    switch (event.type) {
      case 'response.created':
      case 'response.in_progress':
        record.responseId = event.response.id;
        record.model = event.response.model;
        break;
      case 'response.output_item.added':
        // Thinking aloud between tool calls is not the answer.
        if (event.item.type === 'message' && event.item.phase === 'commentary') commentary.add(event.item.id);
        break;
      case 'response.output_text.delta':
        if (!commentary.has(event.item_id)) record.addText(event.delta);
        break;
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
        recordResponse(event.response, record);
        onComplete();
        break;
      default:
    }
  }
}
