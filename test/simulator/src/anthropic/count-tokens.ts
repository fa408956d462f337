import type { JsonHandler } from '../http/serve-json.ts';
import { isVendorError } from '../http/vendor-error.ts';
import { objectOf } from '../json-value.ts';
import { readMessages } from './read-messages.ts';

/** `POST /v1/messages/count_tokens`: free, with the same checks as a message. */
export const countMessageTokens: JsonHandler = (simulator, exchange, body) => {
  const version = String(exchange.request.headers['anthropic-version']);
  const call = readMessages(objectOf(body), simulator, version, 'count');
  return isVendorError(call) ? call : { input_tokens: call.inputTokens };
};
