import type { RouteOverride } from '@millrace/contracts';
import type { RouteConfig } from './config.ts';

/** A target of a route as it is in force. `off` says where it was switched off. */
export interface LiveTarget {
  target: string;
  weight: number;
  off: 'on_this_route' | 'everywhere' | null;
}

/** A route as it is in force; the weight of a fallback says nothing. */
export interface LiveRoute {
  targets: readonly LiveTarget[];
  fallback: readonly LiveTarget[];
  degraded: RouteConfig['degraded'];
}

/** The routes as they are in force. */
export interface LiveRoutes {
  routes: ReadonlyMap<string, LiveRoute>;
  /** Targets that are switched off everywhere. */
  off: ReadonlySet<string>;
}

/** The configured routes with what was changed at run time. Overrides of routes or targets that the configuration no longer has are passed over. */
export function overlayRoutes(
  routes: ReadonlyMap<string, RouteConfig>,
  overrides: readonly RouteOverride[],
): LiveRoutes {
  const off = new Set<string>();
  const byPlace = new Map<string, RouteOverride>();
  for (const override of overrides) {
    if (override.route !== null) byPlace.set(`${override.route} ${override.target}`, override);
    else if (override.enabled === false) off.add(override.target);
  }
  const live = (route: string, target: string, weight: number): LiveTarget => {
    const override = byPlace.get(`${route} ${target}`);
    const offHere = override?.enabled === false ? 'on_this_route' : null;
    return { target, weight: override?.weight ?? weight, off: off.has(target) ? 'everywhere' : offHere };
  };
  const overlaid = [...routes].map(([name, { targets, fallback, degraded }]): [string, LiveRoute] => [
    name,
    {
      targets: targets.map(({ target, weight }) => live(name, target, weight)),
      fallback: fallback.map((target) => live(name, target, 0)),
      degraded,
    },
  ]);
  return { routes: new Map(overlaid), off };
}
