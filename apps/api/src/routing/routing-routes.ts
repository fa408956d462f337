import { overlayRoutes } from '@millrace/config';
import type { RouteConfig } from '@millrace/config';
import { ProblemError, routePatchSchema, targetPatchSchema } from '@millrace/contracts';
import type { RouteObject, TargetObject } from '@millrace/contracts';
import { changeRoutes, findRouteOverrides, listRouteChanges } from '@millrace/ledger';
import type { Database, RouteChange } from '@millrace/ledger';
import { Router } from 'express';
import type { Response } from 'express';
import { parseBody } from '../http/parse.ts';
import { identityOf } from '../http/request-context.ts';
import { knownTargets } from './known-targets.ts';
import { routeChangeQuerySchema } from './list-query.ts';
import { toRouteChangeObject, toRouteObject } from './routing-objects.ts';

export interface RoutingOptions {
  database: Database;
  /** As configured. */
  routes: ReadonlyMap<string, RouteConfig>;
  /** Tells the workers that something changed; they would find out within a second anyway. */
  announceChange: () => Promise<void>;
  log: { info(fields: Record<string, unknown>, message: string): void };
}

/** `/v1/admin/routes` and `/v1/admin/targets`: routes as they are in force, changed at run time, audited. Scope `admin`. */
export function routingRoutes({ database, routes, announceChange, log }: RoutingOptions): Router {
  const router = Router();
  const targets = knownTargets(routes);

  async function showRoutes(): Promise<RouteObject[]> {
    const live = overlayRoutes(routes, await findRouteOverrides(database));
    return [...routes].flatMap(([name, configured]) => {
      const route = live.routes.get(name);
      return route ? [toRouteObject(name, route, configured)] : [];
    });
  }

  async function change(response: Response, changes: readonly RouteChange[]): Promise<void> {
    const { keyId, tenantId } = identityOf(response);
    await changeRoutes(database, { apiKeyId: keyId, tenantId }, changes);
    await announceChange();
    for (const { route, target } of changes) {
      log.info({ event: 'route_changed', key_id: keyId, name: route ?? '*', target }, 'a route was changed');
    }
  }

  router.get('/v1/admin/routes', async (_request, response) => {
    const data = await showRoutes();
    const [first, last] = [data[0]?.name ?? null, data.at(-1)?.name ?? null];
    response.json({ object: 'list', data, has_more: false, first_id: first, last_id: last });
  });

  // Before `:route`: a route may not be called "changes" here.
  router.get('/v1/admin/routes/changes', async (request, response) => {
    const { limit, after, before } = parseBody(oneDirection, request.query);
    const page = await listRouteChanges(database, { after: after ?? null, before: before ?? null, limit });
    const data = page.changes.map(toRouteChangeObject);
    response.json({
      object: 'list',
      data,
      has_more: page.hasMore,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    });
  });

  router.patch('/v1/admin/routes/:route', async (request, response) => {
    const name = request.params.route;
    const configured = routes.get(name);
    if (!configured) {
      throw new ProblemError(
        'not_found',
        `There is no route "${name}"; there are ${[...routes.keys()].join(', ')}.`,
      );
    }
    const patch = parseBody(routePatchSchema, request.body);
    await change(response, toChanges(name, configured, patch.targets));
    response.json((await showRoutes()).find((route) => route.name === name));
  });

  router.patch('/v1/admin/targets/:target', async (request, response) => {
    const { target } = request.params;
    const named = targets.get(target);
    if (!named) {
      const known = [...targets.keys()].join(', ');
      throw new ProblemError('not_found', `No route names the target "${target}"; there are ${known}.`);
    }
    const { enabled } = parseBody(targetPatchSchema, request.body);
    await change(response, [
      { route: null, target, enabled: enabled === false ? false : null, configuredWeight: null },
    ]);
    const body: TargetObject = { target, object: 'target', enabled: enabled !== false, routes: named };
    response.json(body);
  });

  return router;
}

const oneDirection = routeChangeQuerySchema.refine(
  ({ after, before }) => after === undefined || before === undefined,
  { path: ['before'], message: 'cannot stand together with after' },
);

/** What a patch of a route asks for, or `validation_failed` with the path of each target that the route does not have. */
function toChanges(
  name: string,
  { targets, fallback }: RouteConfig,
  patch: readonly {
    target: string;
    weight?: number | null | undefined;
    enabled?: boolean | null | undefined;
  }[],
): RouteChange[] {
  const weights = new Map(targets.map(({ target, weight }) => [target, weight]));
  const known = [...weights.keys(), ...fallback];
  const errors = patch.flatMap(({ target, weight }, index) => {
    const at = (field: string, message: string) => [{ path: `targets[${index}].${field}`, message }];
    if (!known.includes(target)) {
      return at('target', `the route "${name}" has no such target; it has ${known.join(', ')}`);
    }
    if (patch.findIndex((each) => each.target === target) < index) return at('target', 'named twice');
    if (weight !== undefined && !weights.has(target)) {
      return at('weight', 'a fallback has no weight: fallbacks are tried in their order');
    }
    return [];
  });
  const [first] = errors;
  if (first) throw new ProblemError('validation_failed', `${first.path}: ${first.message}`, { errors });
  return patch.map(({ target, weight, enabled }) => ({
    route: name,
    target,
    weight,
    enabled,
    configuredWeight: weights.get(target) ?? null,
  }));
}
