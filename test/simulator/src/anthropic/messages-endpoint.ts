import type { CallEndpoint } from '../answer/serve-call.ts';
import { readMessages } from './read-messages.ts';
import { writeMessages } from './write-messages.ts';

/** `POST /v1/messages`. */
export function messagesEndpoint(): CallEndpoint {
  return {
    maxBodyBytes: 32 * 1024 * 1024,
    read: (body, simulator, exchange) =>
      readMessages(body, simulator, String(exchange.request.headers['anthropic-version']), 'answer'),
    write: writeMessages,
  };
}
