import type { Queryable } from '../database.ts';
import { batchColumns, toBatchRecord } from './batch-row.ts';
import type { BatchRecord, BatchRow } from './batch-row.ts';

const CLAIM = `
WITH due AS (
  SELECT id FROM provider_batches WHERE wake_at <= now() ORDER BY wake_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE provider_batches b SET owner = $1, fence = b.fence + 1, wake_at = now() + $2 * interval '1 millisecond'
FROM due WHERE b.id = due.id RETURNING ${batchColumns}`;

/** Claims batches that are due, at most `limit`: nobody else looks at them for `leaseMs`, unless the claim is renewed. */
export async function claimBatches(
  database: Queryable,
  owner: string,
  leaseMs: number,
  limit: number,
): Promise<BatchRecord[]> {
  const rows = await database.query<BatchRow>(CLAIM, [owner, leaseMs, limit]);
  return rows.map(toBatchRecord);
}

const RENEW = `
UPDATE provider_batches SET wake_at = now() + $3 * interval '1 millisecond'
WHERE id = $1 AND fence = $2 AND status <> 'ended' RETURNING id`;

/** Renews a claim; false when it is lost. */
export async function renewBatchClaim(
  database: Queryable,
  batch: Pick<BatchRecord, 'id' | 'fence'>,
  leaseMs: number,
): Promise<boolean> {
  return (await database.query(RENEW, [batch.id, batch.fence, leaseMs])).length === 1;
}
