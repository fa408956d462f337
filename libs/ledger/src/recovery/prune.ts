import type { Queryable } from '../database.ts';

const PRUNE = `
DELETE FROM jobs WHERE id IN (
  SELECT id FROM jobs WHERE finished_at < now() - $1 * interval '1 millisecond' ORDER BY finished_at LIMIT $2)
RETURNING id`;

/**
 * Deletes jobs that ended longer ago than `retentionMs`, at most `limit`, with their steps, events and deliveries. Their
 * idempotency keys go with them; usage rows stay. Returns how many went.
 */
export async function pruneJobs(database: Queryable, retentionMs: number, limit: number): Promise<number> {
  const rows = await database.query(PRUNE, [retentionMs, limit]);
  return rows.length;
}
