import type { Database } from '../database.ts';

const FIND = `
SELECT d.status, d.endpoint_id IS NULL OR (e.enabled AND e.deleted_at IS NULL) AS open
FROM webhook_deliveries d LEFT JOIN webhook_endpoints e ON e.id = d.endpoint_id
WHERE d.id = $1 AND d.tenant_id = $2`;

const REOPEN = `
UPDATE webhook_deliveries SET status = 'pending', tries_before = tries, fence = fence + 1, not_before = now(),
  wake_at = now() + interval '10 seconds', wake_count = 0, finished_at = NULL
WHERE id = $1 AND status <> 'pending' RETURNING fence`;

/** `queued` carries the fence under which the delivery is to be woken. */
export type Redelivery =
  | { outcome: 'queued'; fence: number }
  | { outcome: 'unknown' }
  | { outcome: 'pending' }
  | { outcome: 'endpoint_disabled' };

/**
 * Opens an ended delivery again: the same delivery with the same webhook-id runs through the schedule once more, and its
 * earlier tries stay in the log. `pending` when it has not ended, `endpoint_disabled` when nothing would be sent.
 */
export async function redeliver(
  database: Database,
  tenantId: string,
  deliveryId: string,
): Promise<Redelivery> {
  return database.transaction(async (transaction) => {
    const [found] = await transaction.query<{ status: string; open: boolean | null }>(FIND, [
      deliveryId,
      tenantId,
    ]);
    if (!found) return { outcome: 'unknown' };
    if (found.status === 'pending') return { outcome: 'pending' };
    // An endpoint that is disabled right after this look is noticed by the claim.
    if (found.open !== true) return { outcome: 'endpoint_disabled' };
    const [reopened] = await transaction.query<{ fence: number }>(REOPEN, [deliveryId]);
    return reopened ? { outcome: 'queued', fence: reopened.fence } : { outcome: 'pending' };
  });
}
