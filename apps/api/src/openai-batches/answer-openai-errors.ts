import { BlobStoreUnavailable } from '@millrace/blobs';
import { errorCatalogue } from '@millrace/contracts';
import type { ProblemError } from '@millrace/contracts';
import type { Logger } from '@millrace/telemetry';
import type { NextFunction, Request, Response } from 'express';
import { toProblem } from '../http/problem-answer.ts';
import { contextOf } from '../http/request-context.ts';
import { OpenAiError } from './openai-error.ts';

/** Everything below these paths answers in OpenAI's shapes. */
export const OPENAI_PATHS = ['/v1/files', '/v1/batches'];

/** What an error says in OpenAI's shape. `retryAfterMs` is null where waiting is of no use, or nobody knows how long. */
interface OpenAiAnswer {
  status: number;
  body: { error: { message: string; type: string; param: string | null; code: string | null } };
  retryable: boolean;
  retryAfterMs: number | null;
}

/** The SDK ignores a longer wait and goes by its own short one. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * The last handler of the OpenAI-compatible routes: `{error: {message, type, param, code}}`, `x-should-retry: false` on what
 * would fail again (the SDK retries 409 and 429 otherwise), `retry-after-ms` where waiting helps. Logs what was our fault.
 */
export function answerOpenAiErrors(log: Logger) {
  return (error: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const answer = toAnswer(error);
    const { requestId, event } = contextOf(response);
    event.code = answer.body.error.code ?? answer.body.error.type;
    if (answer.status >= 500 && answer.status !== 503) {
      log.error({ request_id: requestId, err: error }, 'request failed');
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (!request.complete) response.setHeader('Connection', 'close');
    if (!answer.retryable) response.setHeader('x-should-retry', 'false');
    if (answer.retryAfterMs !== null) {
      response.setHeader('retry-after-ms', Math.min(answer.retryAfterMs, LONGEST_RETRY_AFTER_MS));
      response.setHeader('Retry-After', Math.max(1, Math.ceil(answer.retryAfterMs / 1_000)));
    }
    response.status(answer.status).json(answer.body);
  };
}

function toAnswer(error: unknown): OpenAiAnswer {
  if (error instanceof BlobStoreUnavailable) {
    const message = 'The file store cannot be reached; try again.';
    return toAnswer(new OpenAiError(503, message, { code: 'file_store_unavailable', cause: error }));
  }
  if (error instanceof OpenAiError) {
    const type = error.status === 503 ? 'server_error' : 'invalid_request_error';
    const retryable = error.status === 503;
    return {
      status: error.status,
      body: { error: { message: error.message, type, param: error.param, code: error.code } },
      retryable,
      retryAfterMs: retryable ? 1_000 : null,
    };
  }
  return fromProblem(toProblem(error));
}

function fromProblem(problem: ProblemError): OpenAiAnswer {
  const { status, type, code } = translate(problem);
  return {
    status,
    body: { error: { message: problem.message, type, param: problem.errors[0]?.path ?? null, code } },
    retryable: errorCatalogue[problem.code].retryable,
    retryAfterMs: problem.retryAfterMs,
  };
}

/** Where OpenAI has a status and a code of its own for the same thing, that is what its users look for. */
function translate(problem: ProblemError): { status: number; type: string; code: string } {
  const invalid = { status: problem.status, type: 'invalid_request_error', code: problem.code };
  switch (problem.code) {
    case 'unauthenticated':
      return { ...invalid, code: 'invalid_api_key' };
    case 'validation_failed':
      return { ...invalid, status: 400, code: 'invalid_value' };
    case 'rate_limited':
      return { ...invalid, type: 'requests', code: 'rate_limit_exceeded' };
    default:
      return problem.status >= 500 ? { ...invalid, type: 'server_error' } : invalid;
  }
}
