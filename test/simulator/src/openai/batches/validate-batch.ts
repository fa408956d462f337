import type { LineIndex } from '../../batches/line-index.ts';
import { createBreather } from '../../batches/breather.ts';
import { hashIds } from '../../batches/hash-ids.ts';
import { isObject, listOf, objectOf, parseJson, stringOf, type JsonObject } from '../../json-value.ts';
import type { BatchProblem } from './batch-record.ts';

const MAX_EMBEDDING_INPUTS = 50_000;
const MAX_PROBLEMS = 20;

interface BatchValidation {
  readonly model: string | null;
  readonly problems: readonly BatchProblem[];
  /** Prompt tokens of all lines. */
  readonly promptTokens: number;
  readonly customIdsSha256: string;
}

/** What the file is checked against. */
interface ValidationRules {
  readonly endpoint: string;
  readonly maxLines: number;
  /** Whether batches serve this model at this endpoint. */
  readonly serves: (model: string) => boolean;
  /** Prompt tokens of one request; `null`: nobody wants to know. */
  readonly promptTokensOf: ((body: JsonObject) => number) | null;
}

/** What the vendor checks before a batch begins: every line's envelope, unique ids, one model in the file. */
export async function validateBatch(lines: LineIndex, rules: ValidationRules): Promise<BatchValidation> {
  const { endpoint, maxLines } = rules;
  const refused = (code: string, message: string): BatchValidation => ({
    model: null,
    problems: [problem(code, message, null, null)],
    promptTokens: 0,
    customIdsSha256: '',
  });
  if (lines.count === 0) return refused('empty_file', 'The input file is empty.');
  if (lines.count > maxLines) {
    const message = `The batch has ${lines.count} requests, above the maximum of ${maxLines}.`;
    return refused('too_many_tasks', message);
  }
  const breathe = createBreather();
  const problems: BatchProblem[] = [];
  const seen = new Set<string>();
  let model: string | null = null;
  let promptTokens = 0;
  let embeddingInputs = 0;
  for (let index = 0; index < lines.count && problems.length < MAX_PROBLEMS; index += 1) {
    const line = parseJson(lines.read(index));
    const found = lineProblem(line, index + 1, endpoint, seen, model);
    if (found !== null) problems.push(found);
    const body = objectOf(objectOf(line)['body']);
    if (model === null) {
      model = stringOf(body['model']);
      if (model !== null && !rules.serves(model)) problems.push(unknownModel(model, index + 1));
    }
    promptTokens += rules.promptTokensOf?.(body) ?? 0;
    embeddingInputs += endpoint === '/v1/embeddings' ? inputsIn(body) : 0;
    await breathe();
  }
  if (embeddingInputs > MAX_EMBEDDING_INPUTS) {
    const message = `The batch has ${embeddingInputs} embedding inputs, above the maximum of ${MAX_EMBEDDING_INPUTS}.`;
    problems.push(problem('too_many_embedding_inputs', message, null, null));
  }
  return { model, problems, promptTokens, customIdsSha256: hashIds(seen) };
}

function unknownModel(model: string, line: number): BatchProblem {
  const message = `The provided model '${model}' is not supported by the Batch API.`;
  return problem('model_not_found', message, line, 'body.model');
}

function inputsIn(body: JsonObject): number {
  const inputs = listOf(body['input']);
  return inputs.length === 0 || typeof inputs[0] === 'number' ? 1 : inputs.length;
}

function lineProblem(
  line: unknown,
  number: number,
  endpoint: string,
  seen: Set<string>,
  firstModel: string | null,
): BatchProblem | null {
  if (!isObject(line))
    return problem('invalid_json_line', 'This line is not parseable as valid JSON.', number, null);
  const customId = stringOf(line['custom_id']);
  if (customId === null)
    return problem(
      'missing_required_parameter',
      "Missing required parameter: 'custom_id'.",
      number,
      'custom_id',
    );
  if (seen.has(customId)) {
    return problem(
      'duplicate_custom_id',
      `The custom_id '${customId}' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.`,
      number,
      'custom_id',
    );
  }
  seen.add(customId);
  if (line['method'] !== 'POST')
    return problem('invalid_method', "The method must be 'POST'.", number, 'method');
  if (line['url'] !== endpoint) {
    return problem(
      'mismatched_url',
      `The URL provided for this request (${String(stringOf(line['url']))}) does not match the batch endpoint (${endpoint}).`,
      number,
      'url',
    );
  }
  if (!isObject(line['body']))
    return problem('missing_required_parameter', "Missing required parameter: 'body'.", number, 'body');
  const model = stringOf(line['body']['model']);
  if (model === null)
    return problem(
      'missing_required_parameter',
      "Missing required parameter: 'body.model'.",
      number,
      'body.model',
    );
  if (line['body']['stream'] === true)
    return problem('invalid_value', "'stream' is not allowed in batch requests.", number, 'body.stream');
  if (firstModel === null || model === firstModel) return null;
  return problem(
    'mismatched_model',
    `The provided model '${model}' is not the same as the model of the other requests in this batch ('${firstModel}').`,
    number,
    'body.model',
  );
}

function problem(code: string, message: string, line: number | null, param: string | null): BatchProblem {
  return { code, message, line, param };
}
