import { createRouteTable } from '@millrace/calls';
import type { Breakers, CapacityBook } from '@millrace/capacity';
import type { Config, RouteConfig } from '@millrace/config';
import type { Service } from '@millrace/contracts';
import { findRouteOverrides } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import type { connectRedis, KeyNames } from '@millrace/redis';
import { measureBacklog, onRouteChange } from '@millrace/transport';
import type { Producer } from '@millrace/transport';
import { createTargetRouter } from './router.ts';
import type { TargetRouter } from './router.ts';
import { createTargetOutlook } from './target-outlook.ts';

type Redis = ReturnType<typeof connectRedis>;

export interface RoutingOptions {
  config: Config;
  database: Queryable;
  producer: Producer;
  /** Connections of the roles `producer` and `subscriber`. */
  redis: Redis;
  subscriber: Redis;
  names: KeyNames;
  capacity: CapacityBook;
  breakers: Breakers;
  isUsable: (target: string) => boolean;
  poolOf: (target: string) => string;
  /** Of a route, or of a target that calls name themselves; null while nothing is known. */
  usualOutputTokens: (asked: string) => number | null;
  /** A new step goes to the last resort of its route. */
  onLastResort: () => void;
  onError: (error: unknown) => void;
  /** How often the ledger is asked for changes of routes. Default 1,000. */
  everyMs?: number;
}

/** Puts the choice of targets together: the routes as they are in force, how their targets stand, and the router over both. */
export function openRouting(options: RoutingOptions): { router: TargetRouter; services: Service[] } {
  const { config, database, producer, redis, capacity, breakers, isUsable, poolOf, onError } = options;
  const table = createRouteTable({
    routes: config.routes,
    load: () => findRouteOverrides(database),
    onError,
    ...(options.everyMs === undefined ? {} : { everyMs: options.everyMs }),
  });
  const outlook = createTargetOutlook({
    targets: listTargets(config.routes).filter(isUsable),
    poolOf,
    limitsOf: (pool) => config.pools.get(pool)?.limits ?? {},
    readPool: (pool) => capacity.read(pool),
    measureBacklog: (pool) => measureBacklog(producer, pool),
    breakerState: (target) => breakers.state(target),
    isReady: () => redis.status === 'ready',
    onError,
    now: () => performance.now(),
  });
  const router = createTargetRouter({
    table,
    outlook,
    isUsable,
    poolOf,
    defaultMaxOutputTokens: config.limits.defaultMaxOutputTokens,
    usualOutputTokens: options.usualOutputTokens,
    random: Math.random,
    onLastResort: options.onLastResort,
  });
  return { router, services: [table, listenForChanges(options, () => void table.refresh()), outlook] };
}

function listenForChanges({ subscriber, names, onError }: RoutingOptions, refresh: () => void): Service {
  let stopListening: (() => void) | null = null;
  return {
    name: 'route changes',
    async start() {
      stopListening ??= onRouteChange(subscriber, names, refresh, onError);
    },
    async stop() {
      stopListening?.();
      stopListening = null;
    },
  };
}

function listTargets(routes: ReadonlyMap<string, RouteConfig>): string[] {
  const all = [...routes.values()].flatMap(({ targets, fallback, degraded }) => [
    ...targets.map(({ target }) => target),
    ...fallback,
    ...(degraded.kind === 'use' ? [degraded.target] : []),
  ]);
  return [...new Set(all)];
}
