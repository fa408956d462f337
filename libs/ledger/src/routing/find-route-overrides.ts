import type { RouteOverride } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

const FIND = `
SELECT nullif(o.route, '') AS route, target, weight, enabled FROM route_overrides o ORDER BY o.route, target`;

/** Everything that is changed about routes at run time; a handful of rows. */
export async function findRouteOverrides(database: Queryable): Promise<RouteOverride[]> {
  return database.query<RouteOverride>(FIND);
}
