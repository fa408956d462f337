import type { Queryable } from '../database.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

const list = (comparison: '<' | '>', direction: 'ASC' | 'DESC') => `
SELECT ${endpointColumns} FROM webhook_endpoints
WHERE tenant_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR id ${comparison} $2)
ORDER BY id ${direction} LIMIT $3`;

const OLDER = list('<', 'DESC');
const NEWER = list('>', 'ASC');

/** One page of a tenant's endpoints, newest first. `after` and `before` are endpoint ids, `limit` is 1–100. */
export async function listEndpoints(
  database: Queryable,
  page: { tenantId: string; after: string | null; before: string | null; limit: number },
): Promise<{ endpoints: EndpointRecord[]; hasMore: boolean }> {
  const backwards = page.before !== null;
  const rows = await database.query<EndpointRow>(backwards ? NEWER : OLDER, [
    page.tenantId,
    backwards ? page.before : page.after,
    page.limit + 1,
  ]);
  const endpoints = rows.slice(0, page.limit).map(toEndpointRecord);
  return { endpoints: backwards ? endpoints.reverse() : endpoints, hasMore: rows.length > page.limit };
}
