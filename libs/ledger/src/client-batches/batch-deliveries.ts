import { createId } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

const FIND_ENDPOINTS = `
SELECT id, url FROM webhook_endpoints
WHERE tenant_id = $1 AND deleted_at IS NULL AND enabled AND $2 = ANY (events)`;

const INSERT = `
INSERT INTO webhook_deliveries (id, tenant_id, client_batch_id, event_id, event_type, endpoint_id, url)
SELECT id, $1, $2, $3, $4, "endpointId", url FROM json_to_recordset($5) AS d (id text, "endpointId" text, url text)`;

/** Writes one delivery of a batch's end for each endpoint of the tenant that wants it; returns their ids. */
export async function insertBatchDeliveries(
  transaction: Queryable,
  batch: { tenantId: string; batchId: string; status: 'completed' | 'failed' | 'expired' | 'cancelled' },
): Promise<string[]> {
  const eventType = `batch.${batch.status}`;
  const endpoints = await transaction.query<{ id: string; url: string }>(FIND_ENDPOINTS, [
    batch.tenantId,
    eventType,
  ]);
  if (endpoints.length === 0) return [];
  const deliveries = endpoints.map(({ id, url }) => ({ id: createId('delivery'), endpointId: id, url }));
  await transaction.query(INSERT, [
    batch.tenantId,
    batch.batchId,
    createId('event'),
    eventType,
    JSON.stringify(deliveries),
  ]);
  return deliveries.map((delivery) => delivery.id);
}
