import { createId } from '@millrace/contracts';
import type { EndpointEventType } from '@millrace/contracts';
import type { Database } from '../database.ts';
import { newWebhookSecret } from '../tenants/tenants.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

/** So many endpoints a tenant may have: each end of a job writes a delivery for every one of them that wants it. */
export const MOST_ENDPOINTS = 100;

/** Those of one tenant one after the other: each sees what those before it have made. */
const TAKE_TURNS = `SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints/' || $1, 0))`;

const COUNT = `SELECT count(*)::int AS endpoints FROM webhook_endpoints WHERE tenant_id = $1 AND deleted_at IS NULL`;

const INSERT = `
INSERT INTO webhook_endpoints (id, tenant_id, url, events, description, secret) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING ${endpointColumns}`;

/**
 * Makes an endpoint with a secret of its own. The secret is returned here, on rotation, and never again. Null when the tenant
 * has {@link MOST_ENDPOINTS} that are not deleted, also where several are made at the same time.
 */
export async function createEndpoint(
  database: Database,
  endpoint: { tenantId: string; url: string; events: readonly EndpointEventType[]; description: string },
): Promise<{ endpoint: EndpointRecord; secret: string } | null> {
  const secret = newWebhookSecret();
  return database.transaction(async (transaction) => {
    await transaction.query(TAKE_TURNS, [endpoint.tenantId]);
    const [there] = await transaction.query<{ endpoints: number }>(COUNT, [endpoint.tenantId]);
    if (there && there.endpoints >= MOST_ENDPOINTS) return null;
    const [row] = await transaction.query<EndpointRow>(INSERT, [
      createId('webhookEndpoint'),
      endpoint.tenantId,
      endpoint.url,
      [...endpoint.events],
      endpoint.description,
      secret,
    ]);
    if (!row) throw new Error('INSERT … RETURNING gave no row');
    return { endpoint: toEndpointRecord(row), secret };
  });
}
