import type { Queryable } from '../database.ts';
import { batchColumns, toClientBatch } from './batch-row.ts';
import type { BatchRow, ClientBatch } from './batch-row.ts';

/** A batch that the scheduler has to move on. Its `completed` and `failed` are not counted. */
export interface OpenClientBatch extends ClientBatch {
  /** Lines whose jobs are open, or are not there yet. */
  hasOpenLines: boolean;
}

/** One that only waits for its jobs needs nobody. A tenant with thousands of batches must not keep others' out. */
const FIND = `
SELECT ${batchColumns}, turn.has_open_lines AS "hasOpenLines"
FROM (
  SELECT o.id, o.has_open_lines, row_number() OVER (PARTITION BY o.tenant_id ORDER BY o.id) AS place
  FROM (
    SELECT c.id, c.tenant_id, c.status, c.expires_at, c.expanded_lines, c.total, c.errors IS NOT NULL AS gave_up, EXISTS (
      SELECT FROM client_batch_lines l WHERE l.batch_id = c.id AND l.status IS NULL) AS has_open_lines
    FROM client_batches c WHERE c.ended_at IS NULL
  ) AS o
  WHERE NOT (o.status = 'in_progress' AND o.has_open_lines AND (o.expanded_lines >= o.total OR o.gave_up)
    AND o.expires_at > now())
) AS turn JOIN client_batches b ON b.id = turn.id, (SELECT 0 AS completed, 0 AS failed) lines
ORDER BY turn.place, b.id LIMIT $1`;

/** The batches for which something is to be done, each tenant's oldest first, the tenants in turn. */
export async function findOpenClientBatches(database: Queryable, limit: number): Promise<OpenClientBatch[]> {
  const rows = await database.query<BatchRow & { hasOpenLines: boolean }>(FIND, [limit]);
  return rows.map(({ hasOpenLines, ...row }) => ({ ...toClientBatch(row), hasOpenLines }));
}
