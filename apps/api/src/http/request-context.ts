import type { Scope } from '@millrace/contracts';
import type { Response } from 'express';

/** Who sends a request, as its API key says. */
export interface Identity {
  tenantId: string;
  keyId: string;
  scopes: readonly Scope[];
  /** The tenant's own limits; null stands for the deployment's default. */
  maxOpenJobs: number | null;
  requestsPerMinute: number | null;
  /** Whether the tenant's data may lie in a provider's batch. */
  batchAllowed: boolean;
}

/** What is known about a request besides what it carries; lives in `response.locals`. */
export interface RequestContext {
  requestId: string;
  /** Set behind `authenticate`. */
  auth?: Identity;
  /** Fields that a handler adds to the request's log event. */
  event: Record<string, string | number | boolean>;
}

/** The context that `beginRequest` made. */
export function contextOf(response: Response): RequestContext {
  return response.locals as RequestContext;
}

/** The identity of an authenticated request. Throws on a route without authentication: that is a mistake in its entry. */
export function identityOf(response: Response): Identity {
  const { auth } = contextOf(response);
  if (!auth) throw new Error('this route does not authenticate');
  return auth;
}
