import { ProblemError } from '@millrace/contracts';
import type { RequestHandler } from 'express';
import { requireScope } from '../auth/admit.ts';
import type { Identify } from '../auth/identify.ts';
import { readApiKey, readBasicPassword } from '../auth/read-credentials.ts';
import { contextOf } from '../http/request-context.ts';

/**
 * Lets operators see the board: with an API key of the scope `board` as Bearer or `x-api-key`, or in a browser as the password of HTTP
 * Basic under any user name.
 */
export function boardLogin(identify: Identify): RequestHandler {
  return async (request, response, next) => {
    const key = readApiKey(request.headers) ?? readBasicPassword(request.headers);
    const identity = key === null ? null : await identify(key);
    if (!identity) {
      response.setHeader(
        'WWW-Authenticate',
        'Basic realm="Millrace board: an API key as the password", charset="UTF-8"',
      );
      throw new ProblemError(
        'unauthenticated',
        'Log in with any user name and an API key of the scope "board".',
      );
    }
    contextOf(response).auth = identity;
    requireScope(identity, 'board');
    next();
  };
}
