import type { Queryable } from '../database.ts';

/** Batches whose webhooks are still being tried stay. */
const PRUNE = `
DELETE FROM client_batches WHERE id = ANY (ARRAY(
  SELECT id FROM client_batches b WHERE ended_at < now() - $1 * interval '1 millisecond' AND NOT EXISTS (
    SELECT FROM webhook_deliveries d WHERE d.client_batch_id = b.id AND d.status = 'pending')
  ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING id`;

/** Deletes batches that ended longer ago than `retentionMs`, at most `limit`, with their deliveries. Returns how many went. */
export async function pruneClientBatches(
  database: Queryable,
  retentionMs: number,
  limit: number,
): Promise<number> {
  return (await database.query(PRUNE, [retentionMs, limit])).length;
}
