import { ProblemError } from '@millrace/contracts';
import type { Logger, Metrics } from '@millrace/telemetry';
import express from 'express';
import type { Express, RequestHandler, Router } from 'express';
import { BOARD_PATH } from '../board/board-routes.ts';
import { OPENAI_PATHS, answerOpenAiErrors } from '../openai-batches/answer-openai-errors.ts';
import { beginRequest } from './begin-request.ts';
import { jsonBody } from './json-body.ts';
import { listRoutes } from './list-routes.ts';
import { answerProblems } from './problem-answer.ts';
import { contextOf } from './request-context.ts';
import { createRouteTable } from './route-table.ts';
import { dataHeaders, pageHeaders } from './security-headers.ts';
import { answerUnmatched } from './unmatched.ts';

export interface AppOptions {
  log: Logger;
  metrics: Metrics;
  maxBodyBytes: number;
  stopping: AbortSignal;
  /** Lets in keys with the scope `jobs`. */
  admitJobs: RequestHandler;
  /** Behind `admitJobs` too, but they read their bodies themselves. */
  uploadRoutes: readonly Router[];
  /** What is behind `admitJobs`: everything under `/v1` but `/v1/admin`. */
  apiRoutes: readonly Router[];
  /** Lets in keys with the scope `admin`. */
  admitAdmin: RequestHandler;
  /** What is behind `admitAdmin`: everything under `/v1/admin`. */
  adminRoutes: readonly Router[];
  /** What lets people in by itself, or lets everybody in. */
  openRoutes: readonly Router[];
  /** The documentation's pages. */
  docsRoutes: Router;
  boardLogin: RequestHandler;
  board: RequestHandler;
}

/** The HTTP application: what every request passes, in this order, and who answers it. */
export function createApp(options: AppOptions): Express {
  const { log, metrics } = options;
  const app = express();
  app.disable('x-powered-by');
  // Answers change from one moment to the next; hashing them for a conditional request costs more than it saves.
  app.disable('etag');

  // Filled when all routes are there, which is before the first request.
  let table = createRouteTable([]);
  app.use(beginRequest({ log, metrics, nameOf: (path) => table.nameOf(path) }));
  app.use(refuseWhenStopping(options.stopping));
  app.use(refuseNul);

  app.use(BOARD_PATH, pageHeaders(), options.boardLogin, options.board);
  app.use('/docs', pageHeaders());
  app.use(options.docsRoutes);

  app.use(dataHeaders());
  app.use('/v1/admin', options.admitAdmin);
  app.use('/v1', unlessAdmitted(options.admitJobs));
  for (const router of options.uploadRoutes) app.use(router);
  app.use('/v1', jsonBody({ maxBytes: options.maxBodyBytes }));
  for (const router of [...options.adminRoutes, ...options.apiRoutes]) app.use(router);
  for (const router of options.openRoutes) app.use(router);
  table = createRouteTable(listRoutes(app));
  app.use(answerUnmatched(table));
  app.use(OPENAI_PATHS, answerOpenAiErrors(log));
  app.use(answerProblems(log));
  return app;
}

/** Asks for a key only where none was asked for yet: one request takes one from the tenant's minute. */
function unlessAdmitted(admit: RequestHandler): RequestHandler {
  return (request, response, next) => (contextOf(response).auth ? next() : admit(request, response, next));
}

/** Kept connections may bring requests after the listening has ended. */
function refuseWhenStopping(stopping: AbortSignal): RequestHandler {
  return (request, _response, next) => {
    if (stopping.aborted && request.path !== '/livez' && request.path !== '/readyz') {
      throw new ProblemError('shutting_down', 'This process is stopping; send it again.', {
        retryAfterMs: 1_000,
      });
    }
    next();
  };
}

/** PostgreSQL cannot hold NUL in a text, so nothing is named by it. */
const refuseNul: RequestHandler = (request, _response, next) => {
  if (!request.url.includes('%00')) {
    next();
    return;
  }
  if (request.path.includes('%00'))
    throw new ProblemError('not_found', 'There is nothing with this address.');
  throw new ProblemError('validation_failed', 'The query must not contain NUL.', {
    errors: [{ path: 'query', message: 'must not contain NUL' }],
  });
};
