import type { CallNode } from '@millrace/contracts';
import { readCount, readFields, readMetadata, readSampling, readText, refuseOthers } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { missing } from './line-problem.ts';
import { IDLE, MOST_TEMPERATURE, MOST_TOP_P } from './read-chat-body.ts';
import type { RequestBody } from './read-chat-body.ts';
import { readConversation, responseItems } from './read-conversation.ts';
import { readJsonSchema, refuseFormat } from './read-output-format.ts';

const KNOWN = [
  'model',
  'input',
  'instructions',
  'max_output_tokens',
  'text',
  'temperature',
  'top_p',
  'metadata',
];

/** Values that ask for what happens anyway. */
const HARMLESS = {
  stream: [false],
  background: [false],
  truncation: ['disabled'],
  tool_choice: ['auto', 'none'],
  service_tier: ['auto', 'default'],
};

/** The body of a `/v1/responses` line. Throws LineProblem for what a call cannot express. */
export function readResponsesBody(body: Fields): RequestBody {
  refuseOthers(body, 'body', [...KNOWN, ...IDLE], HARMLESS);
  const { input, instructions } = body;
  if (input === undefined || input === null) throw missing('body.input');
  const system =
    instructions === undefined || instructions === null
      ? undefined
      : readText(instructions, 'body.instructions');
  const conversation =
    typeof input === 'string'
      ? { system, messages: [{ role: 'user' as const, content: readText(input, 'body.input') }] }
      : readConversation(input, 'body.input', responseItems, system);
  return {
    ...conversation,
    output: readTextFormat(body['text']),
    maxOutputTokens: readCount(body['max_output_tokens'], 'body.max_output_tokens'),
    temperature: readSampling(body['temperature'], 'body.temperature', MOST_TEMPERATURE),
    topP: readSampling(body['top_p'], 'body.top_p', MOST_TOP_P),
    metadata: readMetadata(body['metadata'], 'body.metadata'),
  };
}

function readTextFormat(value: unknown): CallNode['output'] {
  if (value === undefined || value === null) return undefined;
  const text = readFields(value, 'body.text');
  refuseOthers(text, 'body.text', ['format']);
  if (text['format'] === undefined || text['format'] === null) return undefined;
  const param = 'body.text.format';
  const format = readFields(text['format'], param);
  return format['type'] === 'json_schema'
    ? readJsonSchema(format, param)
    : refuseFormat(format['type'], param);
}
