import type { Database } from '../database.ts';
import { closeDeliveries } from './close-deliveries.ts';

const DELETE = `
UPDATE webhook_endpoints SET deleted_at = now(), enabled = false, previous_secret = NULL, previous_secret_expires_at = NULL,
  older_secrets = '{}', older_secrets_expire_at = '{}'
WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL RETURNING id`;

/** Deletes the tenant's endpoint and cancels its pending deliveries; its delivery log stays. False when there is none. */
export async function deleteEndpoint(
  database: Database,
  tenantId: string,
  endpointId: string,
): Promise<boolean> {
  return database.transaction(async (transaction) => {
    const deleted = await transaction.query(DELETE, [endpointId, tenantId]);
    if (deleted.length === 0) return false;
    await closeDeliveries(transaction, endpointId, 'cancelled');
    return true;
  });
}
