import { ProblemError } from '@millrace/contracts';
import type { Express } from 'express';
import { listRoutes } from './list-routes.ts';

/** Answers what no route takes: 405 with `Allow` where another method would do, 404 elsewhere. Call it after all routes. */
export function answerUnmatched(app: Express): void {
  const byPath = Map.groupBy(listRoutes(app), (route) => route.path);
  for (const [path, routes] of byPath) {
    const methods = routes.map((route) => route.method.toUpperCase());
    const allow = [...new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)].sort().join(', ');
    app.all(path, (_request, response) => {
      response.setHeader('Allow', allow);
      throw new ProblemError('method_not_allowed', `Only ${allow} can be used here.`);
    });
  }
  app.use(() => {
    throw new ProblemError('not_found', 'There is nothing with this address.');
  });
}
