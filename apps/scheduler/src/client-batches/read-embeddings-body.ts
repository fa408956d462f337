import { readCount, readText, refuseOthers } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { invalid, missing, unsupported } from './line-problem.ts';

/** What an embeddings request asks for besides its model. */
export interface EmbeddingsBody {
  texts: string[];
  dimensions: number | undefined;
  encoding: 'float' | 'base64';
}

const KNOWN = ['model', 'input', 'dimensions', 'encoding_format'];
/** Who asked: it changes nothing of a vector. */
const IDLE = ['user', 'safety_identifier'];

/** OpenAI's limit of inputs in one request, and more dimensions than any current model has. */
const MOST_INPUTS = 2_048;
const MOST_DIMENSIONS = 8_192;

/** The body of a `/v1/embeddings` line. Throws LineProblem for what an embed node cannot express, lists of tokens first. */
export function readEmbeddingsBody(body: Fields): EmbeddingsBody {
  refuseOthers(body, 'body', [...KNOWN, ...IDLE]);
  const dimensions = readCount(body['dimensions'], 'body.dimensions');
  if (dimensions !== undefined && dimensions > MOST_DIMENSIONS) {
    throw invalid('body.dimensions', `at most ${MOST_DIMENSIONS}`);
  }
  return { texts: readInputs(body['input']), dimensions, encoding: readEncoding(body['encoding_format']) };
}

function readInputs(input: unknown): string[] {
  const param = 'body.input';
  if (input === undefined || input === null) throw missing(param);
  if (!Array.isArray(input)) return [readText(input, param)];
  if (input.length === 0) throw invalid(param, 'it must not be empty');
  if (input.length > MOST_INPUTS) throw invalid(param, `at most ${MOST_INPUTS} inputs`);
  return input.map((each: unknown, index) => {
    if (typeof each === 'number' || Array.isArray(each)) {
      throw unsupported(param, 'tokens are not taken here, send the text');
    }
    return readText(each, `${param}[${index}]`);
  });
}

function readEncoding(value: unknown): EmbeddingsBody['encoding'] {
  if (value === undefined || value === null || value === 'float') return 'float';
  if (value === 'base64') return value;
  throw invalid('body.encoding_format', '"float" or "base64" is expected');
}
