/** An error that answers a request under the OpenAI-compatible routes, in OpenAI's shape. */
export class OpenAiError extends Error {
  readonly status: number;
  /** The parameter that is wrong, as OpenAI names them: `file`, `metadata.key`; null when it is none. */
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    status: 400 | 404 | 413 | 503,
    message: string,
    more: { param?: string; code?: string; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? {} : { cause: more.cause });
    this.name = 'OpenAiError';
    this.status = status;
    this.param = more.param ?? null;
    this.code = more.code ?? null;
  }
}
