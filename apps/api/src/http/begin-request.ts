import { randomUUID } from 'node:crypto';
import { hasDefect } from '@millrace/faults';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { NextFunction, Request, Response } from 'express';
import type { RequestContext } from './request-context.ts';

export interface BeginOptions {
  log: Logger;
  metrics: Metrics;
  /** The pattern that a path belongs to, or `unknown`. */
  nameOf: (path: string) => string;
}

/**
 * Gives a request its id (the client's own `x-request-id` if it is 1–128 of `A-Z a-z 0-9 . _ : / + = @ -`) and writes its one log event
 * and its metrics when the answer has left, or when the client has gone.
 */
export function beginRequest(options: BeginOptions) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const startedAt = performance.now();
    // Later there may be no socket any more: a pipeline that fails takes it from its request.
    const remoteAddress = request.socket.remoteAddress;
    const given = request.headers['x-request-id'];
    const requestId = typeof given === 'string' && WELL_FORMED.test(given) ? given : `req_${randomUUID()}`;
    const context: RequestContext = { requestId, event: {} };
    Object.assign(response.locals, context);
    response.setHeader('x-request-id', requestId);
    response.once('close', () => {
      endRequest(options, { request, response, startedAt, remoteAddress });
    });
    next();
  };
}

const WELL_FORMED = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** Routes that are asked every few seconds by machines: their events are for debugging. */
const QUIET = new Set(['/livez', '/readyz', '/metrics', '/internal/scaling']);

function endRequest(
  options: BeginOptions,
  begun: { request: Request; response: Response; startedAt: number; remoteAddress: string | undefined },
): void {
  const { log, metrics } = options;
  const { request, response, startedAt, remoteAddress } = begun;
  const durationMs = performance.now() - startedAt;
  const { requestId, auth, event } = response.locals as RequestContext;
  const route = routeOf(options, request);
  // 499 is nginx's number for a client that left before the answer.
  const status = response.writableFinished ? response.statusCode : 499;
  metrics.requests.inc({ method: request.method, route, status: String(status) });
  metrics.requestSeconds.observe({ method: request.method, route }, durationMs / 1_000);
  const level = status >= 500 ? 'error' : QUIET.has(route) ? 'debug' : 'info';
  if (!log.isLevelEnabled(level)) return;
  log[level](
    {
      request_id: requestId,
      method: request.method,
      route,
      status,
      duration_ms: Math.round(durationMs * 100) / 100,
      tenant: auth?.tenantId,
      key_id: auth?.keyId,
      bytes_in: Number(request.headers['content-length'] ?? 0),
      bytes_out: Number(response.getHeader('content-length') ?? 0),
      remote_address: remoteAddress,
      ...event,
    },
    hasDefect('log-keys') ? `request by ${request.headers.authorization}` : 'request',
  );
}

/**
 * The pattern of the route, never the path itself: that may be anything and would make endless labels. Requests that were refused
 * before a route took them (no key, no JSON) are named by the route that would have.
 */
function routeOf(options: BeginOptions, request: Request): string {
  const route = request.route as { path?: unknown } | undefined;
  const path = request.originalUrl.split('?', 1)[0] ?? '';
  const isOwn = request.baseUrl === '' && typeof route?.path === 'string';
  return isOwn ? String(route.path) : options.nameOf(path);
}
