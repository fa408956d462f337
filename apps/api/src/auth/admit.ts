import { ProblemError } from '@millrace/contracts';
import type { Scope } from '@millrace/contracts';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { contextOf } from '../http/request-context.ts';
import type { Identity } from '../http/request-context.ts';
import type { Identify } from './identify.ts';
import { readApiKey } from './read-credentials.ts';
import { LIMIT_WINDOW_S } from './request-limit.ts';
import type { Allowance, TakeRequest } from './request-limit.ts';

export interface AdmitOptions {
  identify: Identify;
  takeRequest: TakeRequest;
  /** Requests per minute of a tenant that has no limit of its own. */
  defaultRequestsPerMinute: number;
}

/** Lets a request in: its key is known (401), has the scope (403), and the tenant has requests left in this minute (429). */
export function admit(options: AdmitOptions, scope: Scope): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const key = readApiKey(request.headers);
    const identity = key === null ? null : await options.identify(key);
    if (!identity) {
      response.setHeader('WWW-Authenticate', 'Bearer realm="Millrace"');
      throw new ProblemError(
        'unauthenticated',
        'Send an API key as "Authorization: Bearer mr_…" or "x-api-key".',
      );
    }
    contextOf(response).auth = identity;
    requireScope(identity, scope);
    const limit = identity.requestsPerMinute ?? options.defaultRequestsPerMinute;
    const allowance = await options.takeRequest(identity.tenantId, limit);
    announce(response, allowance);
    if (!allowance.allowed) {
      throw new ProblemError('rate_limited', `The tenant may send ${limit} requests in a minute.`, {
        retryAfterMs: allowance.resetMs,
      });
    }
    next();
  };
}

/** Throws `insufficient_scope` unless the key has the scope. */
export function requireScope(identity: Identity, scope: Scope): void {
  if (identity.scopes.includes(scope)) return;
  throw new ProblemError('insufficient_scope', `The API key needs the scope "${scope}" for this.`);
}

/** The structured fields of draft-ietf-httpapi-ratelimit-headers-11. */
function announce(response: Response, allowance: Allowance): void {
  response.setHeader('RateLimit-Policy', `"requests";q=${allowance.limit};w=${LIMIT_WINDOW_S}`);
  const resetS = Math.ceil(allowance.resetMs / 1_000);
  response.setHeader('RateLimit', `"requests";r=${allowance.remaining};t=${resetS}`);
}
