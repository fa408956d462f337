import type { ListedRoute } from './list-routes.ts';

/** Whatever is below the board is one thing to logs and metrics. */
const BOARD = /^\/admin\/queues(?:\/|$)/;

/** Looks paths up by the patterns of the app's routes: `/v1/jobs/job_01…` belongs to `/v1/jobs/:id`. */
export interface RouteTable {
  /** The pattern that a path belongs to, or `unknown`. */
  nameOf(path: string): string;
  /** The methods that a path answers, in capitals, sorted; empty where there is nothing. */
  methodsOf(path: string): string[];
}

/** Makes the table; the routes are those of {@link ListedRoute}. */
export function createRouteTable(routes: readonly ListedRoute[]): RouteTable {
  const rows = [...Map.groupBy(routes, (route) => route.path)].map(([path, group]) => {
    const methods = group.map((route) => route.method.toUpperCase());
    return {
      path,
      expression: new RegExp(`^${escape(path).replace(/:\w+/g, '[^/]+')}/?$`),
      methods: [...new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)].sort(),
    };
  });
  const find = (path: string) => rows.find((row) => row.expression.test(path));
  return {
    nameOf: (path) => (BOARD.test(path) ? '/admin/queues' : (find(path)?.path ?? 'unknown')),
    methodsOf: (path) => find(path)?.methods ?? [],
  };
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
