import { createHash } from 'node:crypto';
import type { ClientBatch, ClientBatchProblem } from '@millrace/ledger';
import { LineProblem } from './line-problem.ts';
import { isServed, readLine } from './read-line.ts';
import type { ReadLineOptions } from './read-line.ts';
import { readInput } from './read-input.ts';
import type { ReadInputOptions } from './read-input.ts';
import { readLines } from './read-lines.ts';

/** What validating needs. `mayGoOn` is asked now and then; false ends it with an Interrupted. */
export interface ValidateOptions extends Omit<ReadLineOptions, 'endpoint'>, ReadInputOptions {
  maxLineBytes: number;
  mayGoOn: () => boolean;
}

/** The work was left off because this process does not lead any more, or stops. */
export class Interrupted extends Error {}

export type Validation =
  { ok: true; total: number; model: string | null } | { ok: false; problems: ClientBatchProblem[] };

/** OpenAI's limit of requests in a batch. */
const MAX_LINES = 50_000;
/** And its limit of texts to embed in all of them (guide "Batch API"). */
const MAX_INPUTS = 50_000;
/** A file that is wrong in every line needs no list of fifty thousand. */
const MAX_PROBLEMS = 100;

/**
 * Checks a batch's input as a whole and line by line, streaming: every line must be a request that can be run here, with an
 * id of its own. Throws InputMissing, BlobStoreUnavailable and Interrupted.
 */
export async function validateBatch(batch: ClientBatch, options: ValidateOptions): Promise<Validation> {
  if (!isServed(batch.endpoint)) {
    const message = `Batches for ${batch.endpoint} are not supported here yet; /v1/chat/completions, /v1/responses and /v1/embeddings are.`;
    return failed('unsupported_endpoint', message, 'endpoint');
  }
  const content = await readInput(batch, 0, options);

  const { endpoint } = batch;
  const problems: ClientBatchProblem[] = [];
  const models = new Set<string>();
  const seen = new Set<string>();
  let total = 0;
  let inputs = 0;
  try {
    for await (const { number, text, isText } of readLines(content.stream, start(options.maxLineBytes))) {
      if (number % 500 === 0 && !options.mayGoOn()) throw new Interrupted();
      total = number;
      if (total > MAX_LINES) {
        return failed('too_many_tasks', `A batch may have ${MAX_LINES} requests.`, null);
      }
      try {
        if (!isText) throw new LineProblem('invalid_json_line', 'This line is not valid UTF-8.', null);
        const { customId, model, plan } = readLine(text, { ...options, endpoint });
        if (plan.type === 'embed') inputs += [plan.text].flat().length;
        if (models.size < 2) models.add(model);
        refuseDouble(seen, customId);
      } catch (error) {
        if (!(error instanceof LineProblem)) throw error;
        problems.push(error.at(number));
        if (problems.length === MAX_PROBLEMS) break;
      }
      if (inputs > MAX_INPUTS) {
        return failed('too_many_embedding_inputs', `A batch may have ${MAX_INPUTS} texts to embed.`, null);
      }
    }
  } finally {
    content.stream.destroy();
  }
  if (problems.length > 0) return { ok: false, problems };
  if (total === 0) return failed('empty_file', 'The input file is empty.', null);
  const [model = null] = models;
  return { ok: true, total, model: models.size === 1 ? model : null };
}

function start(maxLineBytes: number) {
  return { fromLine: 1, fromByte: 0, maxLineBytes };
}

/** Ids may be long; what is remembered of each is 16 bytes. */
function refuseDouble(seen: Set<string>, customId: string): void {
  const digest = createHash('sha256').update(customId).digest('base64').slice(0, 22);
  if (seen.has(digest)) {
    const message = `The custom_id '${customId}' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.`;
    throw new LineProblem('duplicate_custom_id', message, 'custom_id');
  }
  seen.add(digest);
}

function failed(code: string, message: string, param: string | null): Validation {
  return { ok: false, problems: [{ code, line: null, message, param }] };
}
