import { ProblemError } from '@millrace/contracts';
import type { RequestHandler } from 'express';
import type { RouteTable } from './route-table.ts';

/** Answers what no route took: 405 with `Allow` where another method would do, 404 elsewhere. */
export function answerUnmatched(table: RouteTable): RequestHandler {
  return (request, response) => {
    const methods = table.methodsOf(request.path);
    if (methods.length === 0) throw new ProblemError('not_found', 'There is nothing with this address.');
    response.setHeader('Allow', methods.join(', '));
    throw new ProblemError('method_not_allowed', `Only ${methods.join(', ')} can be used here.`);
  };
}
