import type { LiveRoute, LiveTarget, RouteConfig } from '@millrace/config';
import type { RouteChangeObject, RouteObject } from '@millrace/contracts';
import type { RouteChangeRecord } from '@millrace/ledger';

/** A route as it is in force, beside what the configuration says. */
export function toRouteObject(name: string, live: LiveRoute, configured: RouteConfig): RouteObject {
  const weights = new Map(configured.targets.map(({ target, weight }) => [target, weight]));
  const routed = ({ target, weight, off }: LiveTarget): RouteObject['targets'][number] => {
    const configuredWeight = weights.get(target) ?? null;
    return {
      target,
      weight: configuredWeight === null ? null : weight,
      configured_weight: configuredWeight,
      enabled: off === null,
      switched_off: off,
    };
  };
  return {
    name,
    object: 'route',
    targets: live.targets.map(routed),
    fallback: live.fallback.map(routed),
    degraded: toDegraded(live.degraded),
  };
}

function toDegraded(degraded: LiveRoute['degraded']): RouteObject['degraded'] {
  switch (degraded.kind) {
    case 'wait':
    case 'fail':
      return degraded.kind;
    case 'use':
      return { use: degraded.target };
    case 'stale':
      return { stale_for_seconds: degraded.forMs / 1_000 };
  }
}

/** An entry of the audit as the API shows it. */
export function toRouteChangeObject(change: RouteChangeRecord): RouteChangeObject {
  return {
    id: String(change.id),
    object: 'route_change',
    at: new Date(change.at).toISOString(),
    api_key_id: change.apiKeyId,
    tenant_id: change.tenantId,
    route: change.route,
    target: change.target,
    before: change.before,
    after: change.after,
  };
}
