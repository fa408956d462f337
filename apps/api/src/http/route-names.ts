import type { ListedRoute } from './list-routes.ts';

/** What is served under these is one thing to logs and metrics. */
const PREFIXES = ['/admin/queues'];

/** Names paths by the pattern they belong to: `/v1/jobs/job_01…` → `/v1/jobs/:id`; `unknown` where no pattern fits. */
export function createRouteNames(routes: readonly ListedRoute[]): (path: string) => string {
  const patterns = [...new Set(routes.map((route) => route.path))].map((path) => ({
    path,
    expression: new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+')}/?$`),
  }));
  return (path) => {
    const prefix = PREFIXES.find((each) => path === each || path.startsWith(`${each}/`));
    return prefix ?? patterns.find(({ expression }) => expression.test(path))?.path ?? 'unknown';
  };
}
