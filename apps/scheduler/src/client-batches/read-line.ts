import type { CallNode, EmbedNode, Json, PlanNode, ProblemDetail } from '@millrace/contracts';
import { isFields, readText } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { readEmbeddingsBody } from './read-embeddings-body.ts';
import type { EmbeddingsBody } from './read-embeddings-body.ts';
import { LineProblem, invalid, missing } from './line-problem.ts';
import { readChatBody } from './read-chat-body.ts';
import type { RequestBody } from './read-chat-body.ts';
import { readResponsesBody } from './read-responses-body.ts';
import type { ResolveModel } from './resolve-model.ts';

/** One line of a batch's input as a job that may be submitted. */
export interface LineRequest {
  customId: string;
  /** The model as the line names it. */
  model: string;
  plan: CallNode | EmbedNode;
  /** Texts that a template would misread, for the job's `input` and `params`. */
  input: Json | undefined;
  params: Record<string, Json>;
  metadata: Record<string, string>;
}

/** What reading lines needs. */
export interface ReadLineOptions {
  endpoint: string;
  resolveModel: ResolveModel;
  /** What is wrong with a plan: the deployment's caps, and the output's schema. */
  checkPlan: (plan: PlanNode) => readonly ProblemDetail[];
}

const MAX_CUSTOM_ID = 512;

/** The endpoints whose requests can be expressed as plans. */
const READERS = new Map<string, (body: Fields) => RequestBody | EmbeddingsBody>([
  ['/v1/chat/completions', readChatBody],
  ['/v1/responses', readResponsesBody],
  ['/v1/embeddings', readEmbeddingsBody],
]);

/** Whether lines for an endpoint can be served at all. */
export function isServed(endpoint: string): boolean {
  return READERS.has(endpoint);
}

/** Reads a line; throws LineProblem. The same line gives the same request as long as the configuration is the same. */
export function readLine(text: string | null, options: ReadLineOptions): LineRequest {
  const line = parseLine(text);
  const customId = readCustomId(line['custom_id']);
  if (line['method'] !== 'POST') {
    throw new LineProblem('invalid_method', "The method must be 'POST'.", 'method');
  }
  if (line['url'] !== options.endpoint) {
    const message = `The URL provided for this request does not match the batch endpoint (${options.endpoint}).`;
    throw new LineProblem('mismatched_url', message, 'url');
  }
  const { body } = line;
  if (body === undefined) throw missing('body');
  if (!isFields(body)) throw invalid('body', 'an object is expected');
  const model = readText(body['model'], 'body.model');
  const reference = options.resolveModel(model);
  if (!reference) {
    const message = `The model '${model.slice(0, 200)}' is neither a route nor a model of a configured provider.`;
    throw new LineProblem('model_not_found', message, 'body.model');
  }
  const read = READERS.get(options.endpoint);
  if (!read) throw new LineProblem('unsupported_endpoint', 'The endpoint is not supported.', 'url');
  const asked = read(body);
  const request = {
    customId,
    model,
    ...('texts' in asked ? toEmbed(reference, asked) : toCall(reference, asked)),
  };
  const [problem] = options.checkPlan(request.plan);
  if (problem) throw toLineProblem(problem, options.endpoint);
  return request;
}

/** The id of a line that was valid once, `line-7` if there is none to be found any more. */
export function customIdOf(text: string | null, number: number): string {
  try {
    return readCustomId(parseLine(text)['custom_id']);
  } catch (error) {
    if (error instanceof LineProblem) return `line-${number}`;
    throw error;
  }
}

/** The body of a line that was valid once, null if it is not any more. */
export function bodyOf(text: string | null): Fields | null {
  try {
    const { body } = parseLine(text);
    return isFields(body) ? body : null;
  } catch (error) {
    if (error instanceof LineProblem) return null;
    throw error;
  }
}

function parseLine(text: string | null): Readonly<Record<string, unknown>> {
  if (text === null)
    throw new LineProblem('line_too_large', 'This line is larger than a request may be.', null);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (!isFields(value)) {
    throw new LineProblem('invalid_json_line', 'This line is not parseable as valid JSON.', null);
  }
  return value;
}

function readCustomId(value: unknown): string {
  const customId = readText(value, 'custom_id');
  if (customId.length > MAX_CUSTOM_ID) throw invalid('custom_id', `at most ${MAX_CUSTOM_ID} characters`);
  if (customId.includes('\u0000') || !customId.isWellFormed()) {
    throw invalid('custom_id', 'it cannot be stored as a text');
  }
  return customId;
}

type Reference = { route: string } | { model: string };
type LinePlan = Omit<LineRequest, 'customId' | 'model'>;

function toCall(reference: Reference, body: RequestBody): LinePlan {
  const shielded = shieldTexts();
  const messages = body.messages.map(({ role, content }) => ({ role, content: shielded.template(content) }));
  const { system } = body;
  const shieldsSystem = system !== undefined && isTemplate(system);
  return {
    plan: {
      type: 'call',
      ...reference,
      messages,
      ...(system === undefined ? {} : { system: shieldsSystem ? '{{ params.system }}' : system }),
      ...(body.output === undefined ? {} : { output: body.output }),
      ...(body.maxOutputTokens === undefined ? {} : { max_output_tokens: body.maxOutputTokens }),
      ...(body.temperature === undefined ? {} : { temperature: body.temperature }),
      ...(body.topP === undefined ? {} : { top_p: body.topP }),
    },
    input: shielded.input(),
    params: shieldsSystem ? { system } : {},
    metadata: body.metadata,
  };
}

/** The vectors are kept in base64, a quarter of the room; the params say how the client wants them in the output file. */
function toEmbed(reference: Reference, body: EmbeddingsBody): LinePlan {
  const shielded = shieldTexts();
  return {
    plan: {
      type: 'embed',
      ...reference,
      // A list also of one: the answer's `data` is a list.
      text: body.texts.map((text) => shielded.template(text)),
      ...(body.dimensions === undefined ? {} : { dimensions: body.dimensions }),
      encoding_format: 'base64',
    },
    input: shielded.input(),
    params: { encoding_format: body.encoding },
    metadata: {},
  };
}

/** Texts as templates that render to just them. */
function shieldTexts(): { template(text: string): string; input(): Json | undefined } {
  const texts: string[] = [];
  return {
    template(text) {
      if (!isTemplate(text)) return text;
      texts.push(text);
      return `{{ input.texts[${texts.length - 1}] }}`;
    },
    input: () => (texts.length === 0 ? undefined : { texts }),
  };
}

/** A plan's texts are templates, a client's are not: what looks like a tag goes in as data. */
function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/** Where a plan's field stands in a line. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/v1/chat/completions': {
    max_output_tokens: 'body.max_completion_tokens',
    output: 'body.response_format.json_schema',
  },
  '/v1/embeddings': { text: 'body.input', route: 'body.model' },
  '/v1/responses': { messages: 'body.input', system: 'body.instructions', output: 'body.text.format' },
};

function toLineProblem({ path, message }: ProblemDetail, endpoint: string): LineProblem {
  if (path === '') return invalid('body', message);
  const [, field = '', rest = ''] = /^(\w*)(.*)$/s.exec(path) ?? [];
  return invalid(`${FIELDS[endpoint]?.[field] ?? `body.${field}`}${rest}`, message);
}
