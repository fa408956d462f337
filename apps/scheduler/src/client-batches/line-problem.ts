import type { ClientBatchProblem } from '@millrace/ledger';

/** Something about a line that keeps its batch from beginning, named as OpenAI names it. */
export class LineProblem extends Error {
  readonly code: string;
  /** `body.messages[0].content`; null when it is the line as a whole. */
  readonly param: string | null;

  constructor(code: string, message: string, param: string | null) {
    super(shorten(message));
    this.name = 'LineProblem';
    this.code = code;
    this.param = param && shorten(param);
  }

  /** As the batch's `errors.data` has it; `line` counts from 1. */
  at(line: number): ClientBatchProblem {
    return { code: this.code, line, message: this.message, param: this.param };
  }
}

const MOST_CHARACTERS = 1_000;

/** A client's words, the names of its members among them, may be as long as a line; a hundred problems stand in one row. */
function shorten(text: string): string {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS).toWellFormed()}…`;
}

/** A parameter that is not there and must be. */
export function missing(param: string): LineProblem {
  return new LineProblem('missing_required_parameter', `Missing required parameter: '${param}'.`, param);
}

/** A parameter with a value of the wrong kind. */
export function invalid(param: string, why: string): LineProblem {
  return new LineProblem('invalid_value', `Invalid value for '${param}': ${why}.`, param);
}

/** A parameter that OpenAI knows and a call of Millrace cannot express. */
export function unsupported(param: string, why = 'batches here do not support it'): LineProblem {
  return new LineProblem('unsupported_parameter', `Unsupported parameter: '${param}': ${why}.`, param);
}
