import { LedgerUnavailable } from '@millrace/ledger';
import { ProblemError, errorCatalogue } from '@millrace/contracts';
import type { Problem } from '@millrace/contracts';
import type { Logger } from '@millrace/telemetry';
import type { NextFunction, Request, Response } from 'express';
import { contextOf } from './request-context.ts';

/** What a client is told to wait when the ledger is away: it is usually back within seconds. */
const LEDGER_RETRY_MS = 2_000;

/** Answers with a problem document (RFC 9457). The detail never repeats what was sent in a body. */
export function sendProblem(request: Request, response: Response, problem: ProblemError): void {
  const { requestId, event } = contextOf(response);
  event.code = problem.code;
  const body: Problem = {
    type: `urn:millrace:error:${problem.code}`,
    title: errorCatalogue[problem.code].title,
    status: problem.status,
    detail: problem.message,
    instance: request.path,
    code: problem.code,
    request_id: requestId,
    ...(problem.errors.length === 0 ? {} : { errors: [...problem.errors] }),
  };
  if (problem.retryAfterMs !== null) {
    response.setHeader('Retry-After', Math.max(1, Math.ceil(problem.retryAfterMs / 1_000)));
  }
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(body));
}

/** The last handler of the app: turns whatever was thrown into a problem document, and logs what was our fault. */
export function answerProblems(log: Logger) {
  return (error: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const problem = toProblem(error);
    if (problem.code === 'internal_error') {
      log.error({ request_id: contextOf(response).requestId, err: error }, 'request failed');
    }
    if (response.headersSent) {
      // The answer is on its way and cannot be changed: cutting it is how the client learns.
      response.destroy();
      return;
    }
    // What is left of a body that nobody will read must not hold the connection.
    if (!request.complete) response.setHeader('Connection', 'close');
    sendProblem(request, response, problem);
  };
}

/** Anything that was thrown as a problem. */
export function toProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof LedgerUnavailable) {
    return new ProblemError('ledger_unavailable', 'The ledger cannot be reached; try again.', {
      retryAfterMs: LEDGER_RETRY_MS,
      cause: error,
    });
  }
  if (isUnstorableText(error)) {
    return new ProblemError('validation_failed', 'A text contains NUL, which cannot be stored.', {
      cause: error,
    });
  }
  // Express throws this for a path with a broken percent-encoding: no resource has such an address.
  if (error instanceof URIError) return new ProblemError('not_found', 'There is nothing with this address.');
  return new ProblemError('internal_error', 'Something went wrong on our side; the log has the request id.', {
    cause: error,
  });
}

/** PostgreSQL's character_not_in_repertoire and untranslatable_character: the last defence; most texts are checked before. */
function isUnstorableText(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '22021' || error.code === '22P05');
}
