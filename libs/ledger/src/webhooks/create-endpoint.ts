import { createId } from '@millrace/contracts';
import type { EndpointEventType } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { newWebhookSecret } from '../tenants/tenants.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

const INSERT = `
INSERT INTO webhook_endpoints (id, tenant_id, url, events, description, secret) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING ${endpointColumns}`;

/** Makes an endpoint with a secret of its own. The secret is returned here, on rotation, and never again. */
export async function createEndpoint(
  database: Queryable,
  endpoint: { tenantId: string; url: string; events: readonly EndpointEventType[]; description: string },
): Promise<{ endpoint: EndpointRecord; secret: string }> {
  const secret = newWebhookSecret();
  const [row] = await database.query<EndpointRow>(INSERT, [
    createId('webhookEndpoint'),
    endpoint.tenantId,
    endpoint.url,
    [...endpoint.events],
    endpoint.description,
    secret,
  ]);
  if (!row) throw new Error('INSERT … RETURNING gave no row');
  return { endpoint: toEndpointRecord(row), secret };
}
