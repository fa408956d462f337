import type { RouteConfig } from '@millrace/config';

/** Every target that a route names, as weighted target, fallback or last resort, with the routes that do. */
export function knownTargets(routes: ReadonlyMap<string, RouteConfig>): ReadonlyMap<string, string[]> {
  const known = new Map<string, string[]>();
  for (const [name, { targets, fallback, degraded }] of routes) {
    const lastResort = degraded.kind === 'use' ? [degraded.target] : [];
    for (const target of [...targets.map((each) => each.target), ...fallback, ...lastResort]) {
      known.set(target, [...(known.get(target) ?? []), name]);
    }
  }
  return known;
}
