import type { Queryable } from '../database.ts';
import { newWebhookSecret } from '../tenants/tenants.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

const ROTATE = `
UPDATE webhook_endpoints SET previous_secret = secret, secret = $3,
  previous_secret_expires_at = now() + $4 * interval '1 millisecond'
WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL
RETURNING ${endpointColumns}`;

/**
 * Gives the tenant's endpoint a new secret, which is returned once; the old one signs too for `overlapMs`. Rotating again
 * within that time drops the oldest. Null when there is no such endpoint.
 */
export async function rotateSecret(
  database: Queryable,
  tenantId: string,
  endpointId: string,
  overlapMs: number,
): Promise<{ endpoint: EndpointRecord; secret: string } | null> {
  const secret = newWebhookSecret();
  const [row] = await database.query<EndpointRow>(ROTATE, [endpointId, tenantId, secret, overlapMs]);
  return row ? { endpoint: toEndpointRecord(row), secret } : null;
}
