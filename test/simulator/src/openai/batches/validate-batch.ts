import { isObject, objectOf, parseJson, stringOf } from '../../json-value.ts';
import type { BatchProblem } from './batch-record.ts';
import type { LineIndex } from './line-index.ts';

const MAX_LINES = 50_000;
const MAX_PROBLEMS = 20;

interface BatchValidation {
  readonly model: string | null;
  readonly problems: readonly BatchProblem[];
}

/** What the vendor checks before a batch begins: every line's envelope, unique ids, one model in the file. */
export function validateBatch(lines: LineIndex, endpoint: string): BatchValidation {
  if (lines.count === 0)
    return { model: null, problems: [problem('empty_file', 'The input file is empty.', null, null)] };
  if (lines.count > MAX_LINES) {
    const message = `The batch has ${lines.count} requests, above the maximum of ${MAX_LINES}.`;
    return { model: null, problems: [problem('too_many_tasks', message, null, null)] };
  }
  const problems: BatchProblem[] = [];
  const seen = new Set<string>();
  let model: string | null = null;
  for (let index = 0; index < lines.count && problems.length < MAX_PROBLEMS; index += 1) {
    const line = parseJson(lines.read(index));
    const found = lineProblem(line, index + 1, endpoint, seen, model);
    if (found !== null) problems.push(found);
    model ??= stringOf(objectOf(objectOf(line)['body'])['model']);
  }
  return { model, problems };
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
