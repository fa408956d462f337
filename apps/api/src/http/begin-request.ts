import type { Logger, Metrics } from '@millrace/telemetry';
import { createId } from '@millrace/contracts';
import type { NextFunction, Request, Response } from 'express';
import type { RequestContext } from './request-context.ts';

/**
 * Gives a request its id (the client's own `x-request-id` if it is 1–128 of `A-Z a-z 0-9 . _ : / + = @ -`) and writes its one log event
 * and its metrics when the answer has left, or when the client has gone.
 */
export function beginRequest(options: { log: Logger; metrics: Metrics }) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const startedAt = performance.now();
    const given = request.headers['x-request-id'];
    const requestId =
      typeof given === 'string' && WELL_FORMED.test(given) ? given : `req_${createId('event').slice(4)}`;
    const context: RequestContext = { requestId, event: {} };
    Object.assign(response.locals, context);
    response.setHeader('x-request-id', requestId);
    response.once('close', () => {
      endRequest(options, request, response, startedAt);
    });
    next();
  };
}

const WELL_FORMED = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** Routes that are asked every few seconds by machines: their events are for debugging. */
const QUIET = new Set(['/livez', '/readyz', '/metrics', '/internal/scaling']);

function endRequest(
  { log, metrics }: { log: Logger; metrics: Metrics },
  request: Request,
  response: Response,
  startedAt: number,
): void {
  const durationMs = performance.now() - startedAt;
  const { requestId, auth, event } = response.locals as RequestContext;
  const route = routeOf(request);
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
      remote_address: request.socket.remoteAddress,
      ...event,
    },
    'request',
  );
}

/** The pattern of the route, never the path itself: that may be anything and would make endless labels. */
function routeOf(request: Request): string {
  const route = request.route as { path?: unknown } | undefined;
  if (typeof route?.path === 'string') return route.path;
  return /^\/(?:admin\/queues|docs)(?=\/|$)/.exec(request.path)?.[0] ?? 'unknown';
}
