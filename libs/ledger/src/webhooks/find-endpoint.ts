import type { Queryable } from '../database.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

const FIND = `SELECT ${endpointColumns} FROM webhook_endpoints WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL`;

/** The tenant's endpoint with this id, or null: unknown, deleted and foreign ids answer alike. */
export async function findEndpoint(
  database: Queryable,
  tenantId: string,
  endpointId: string,
): Promise<EndpointRecord | null> {
  const [row] = await database.query<EndpointRow>(FIND, [endpointId, tenantId]);
  return row ? toEndpointRecord(row) : null;
}
