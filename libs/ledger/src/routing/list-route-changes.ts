import { z } from 'zod';
import type { Queryable } from '../database.ts';

/** One change of a route. `at` is in milliseconds since 1970; `route` null is the target on every route. */
export interface RouteChangeRecord {
  id: number;
  at: number;
  apiKeyId: string;
  tenantId: string;
  route: string | null;
  target: string;
  before: { weight: number | null; enabled: boolean };
  after: { weight: number | null; enabled: boolean };
}

const LIST = `
SELECT id, at, api_key_id AS "apiKeyId", tenant_id AS "tenantId", nullif(route, '') AS route, target, before, after
FROM route_changes WHERE ($1::bigint IS NULL OR id < $1) AND ($2::bigint IS NULL OR id > $2)
ORDER BY CASE WHEN $2::bigint IS NULL THEN -id ELSE id END LIMIT $3`;

const stateSchema = z.object({ weight: z.number().nullable(), enabled: z.boolean() });

/** One page of the changes of routes, newest first: those older than the change `after`, or newer than `before`. */
export async function listRouteChanges(
  database: Queryable,
  page: { after: number | null; before: number | null; limit: number },
): Promise<{ changes: RouteChangeRecord[]; hasMore: boolean }> {
  const rows = await database.query<RouteChangeRecord>(LIST, [page.after, page.before, page.limit + 1]);
  const shown = rows.slice(0, page.limit).map((row) => ({
    ...row,
    before: stateSchema.parse(row.before),
    after: stateSchema.parse(row.after),
  }));
  return {
    changes: page.before === null ? shown : shown.reverse(),
    hasMore: rows.length > page.limit,
  };
}
