import type { CallEndpoint } from '../answer/serve-call.ts';
import { readChat } from './read-chat.ts';
import { writeChat } from './write-chat.ts';

/** `POST /v1/chat/completions`. */
export function chatEndpoint(): CallEndpoint {
  return { maxBodyBytes: 64 * 1024 * 1024, read: readChat, write: writeChat };
}
