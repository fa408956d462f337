import type { Queryable } from '../database.ts';

const CLOSE = `
UPDATE webhook_deliveries SET status = $2, wake_at = NULL, finished_at = now()
WHERE endpoint_id = $1 AND status = 'pending'`;

/**
 * Ends every pending delivery of an endpoint. The caller's transaction has locked the endpoint's row: whoever locks both
 * takes the endpoint first, so that two of them cannot wait for each other.
 */
export async function closeDeliveries(
  transaction: Queryable,
  endpointId: string,
  status: 'cancelled' | 'exhausted',
): Promise<void> {
  await transaction.query(CLOSE, [endpointId, status]);
}
