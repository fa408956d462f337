import type { CallNode } from '@millrace/contracts';
import { readCount, readFields, readMetadata, readSampling, refuseOthers } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { missing } from './line-problem.ts';
import { chatMessages, readConversation } from './read-conversation.ts';
import type { Conversation } from './read-conversation.ts';
import { readJsonSchema, refuseFormat } from './read-output-format.ts';

/** What a request asks for besides its model. */
export interface RequestBody extends Conversation {
  output: CallNode['output'];
  maxOutputTokens: number | undefined;
  temperature: number | undefined;
  topP: number | undefined;
  metadata: Record<string, string>;
}

const KNOWN = [
  'model',
  'messages',
  'max_completion_tokens',
  'max_tokens',
  'response_format',
  'temperature',
  'top_p',
  'metadata',
];

/** As OpenAI bounds them. */
export const MOST_TEMPERATURE = 2;
export const MOST_TOP_P = 1;

/** What changes nothing of an answer, whatever its value: who asked, and where the vendor keeps or caches it. */
export const IDLE = [
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'store',
  'parallel_tool_calls',
];

/** Values that ask for what happens anyway. */
const HARMLESS = {
  n: [1],
  stream: [false],
  frequency_penalty: [0],
  presence_penalty: [0],
  logprobs: [false],
  tool_choice: ['auto', 'none'],
  service_tier: ['auto', 'default'],
};

/** The body of a `/v1/chat/completions` line. Throws LineProblem for what a call cannot express. */
export function readChatBody(body: Fields): RequestBody {
  refuseOthers(body, 'body', [...KNOWN, ...IDLE], HARMLESS);
  if (body['messages'] === undefined) throw missing('body.messages');
  return {
    ...readConversation(body['messages'], 'body.messages', chatMessages),
    output: readResponseFormat(body['response_format']),
    maxOutputTokens:
      readCount(body['max_completion_tokens'], 'body.max_completion_tokens') ??
      readCount(body['max_tokens'], 'body.max_tokens'),
    temperature: readSampling(body['temperature'], 'body.temperature', MOST_TEMPERATURE),
    topP: readSampling(body['top_p'], 'body.top_p', MOST_TOP_P),
    metadata: readMetadata(body['metadata'], 'body.metadata'),
  };
}

function readResponseFormat(value: unknown): CallNode['output'] {
  if (value === undefined || value === null) return undefined;
  const param = 'body.response_format';
  const format = readFields(value, param);
  refuseOthers(format, param, ['type', 'json_schema']);
  return format['type'] === 'json_schema'
    ? readJsonSchema(format['json_schema'], `${param}.json_schema`)
    : refuseFormat(format['type'], param);
}
