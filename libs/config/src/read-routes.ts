import { parseDurationMs } from '@millrace/contracts';
import type { DegradedMode, ProviderConfig, RouteConfig } from './config.ts';
import type { ConfigFile } from './config-file.ts';

const DEFAULT_ROUTES: ConfigFile['routes'] = {
  cheap: {
    targets: [{ target: 'openai/gpt-6-luna', weight: 1 }],
    fallback: ['anthropic/claude-haiku-5-5'],
    degraded: 'wait',
  },
  quality: {
    targets: [{ target: 'openai/gpt-6.1-sol', weight: 1 }],
    fallback: ['anthropic/claude-sonnet-5-5'],
    degraded: 'wait',
  },
};

/** The routes of the file, and the two that exist without it. What is wrong is added to `problems`. */
export function readRoutes(
  file: ConfigFile,
  providers: ReadonlyMap<string, ProviderConfig>,
  problems: string[],
): ReadonlyMap<string, RouteConfig> {
  const routes = new Map<string, RouteConfig>();
  for (const [name, route] of Object.entries({ ...DEFAULT_ROUTES, ...file.routes })) {
    const degraded = readDegraded(name, route.degraded, problems);
    const named = [...route.targets.map(({ target }) => target), ...route.fallback];
    for (const target of degraded.kind === 'use' ? [...named, degraded.target] : named) {
      const provider = target.slice(0, target.indexOf('/'));
      if (!providers.has(provider)) {
        problems.push(`routes.${name}: ${target} names the provider "${provider}", which is not configured`);
      }
    }
    const doubled = named.find((target, index) => named.indexOf(target) !== index);
    if (doubled !== undefined) problems.push(`routes.${name}: ${doubled} is named twice`);
    if (degraded.kind === 'use' && named.includes(degraded.target)) {
      problems.push(
        `routes.${name}.degraded.use: ${degraded.target} is one of the route's own targets, so it would be down too`,
      );
    }
    const forbidden = route.batch === false ? { batch: false } : {};
    routes.set(name, { targets: route.targets, fallback: route.fallback, ...forbidden, degraded });
  }
  return routes;
}

function readDegraded(
  name: string,
  degraded: ConfigFile['routes'][string]['degraded'],
  problems: string[],
): DegradedMode {
  if (typeof degraded === 'string') return { kind: degraded };
  if ('use' in degraded) return { kind: 'use', target: degraded.use };
  const forMs = parseDurationMs(degraded.stale_for);
  if (forMs === null) {
    problems.push(
      `routes.${name}.degraded.stale_for: ${JSON.stringify(degraded.stale_for)} is not a duration`,
    );
  }
  return { kind: 'stale', forMs: forMs ?? 0 };
}
