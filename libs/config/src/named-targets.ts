import type { Config } from './config.ts';

/** What may answer a call that names a route or a model: all targets and fallbacks of the route; nothing for a route that is not configured. */
export function namedTargets(
  routes: Config['routes'],
  { route, model }: { route: string | undefined; model: string | undefined },
): string[] {
  if (model !== undefined) return [model];
  const configured = routes.get(route ?? '');
  return configured ? [...configured.targets.map(({ target }) => target), ...configured.fallback] : [];
}
