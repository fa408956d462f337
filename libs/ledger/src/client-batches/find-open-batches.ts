import type { Queryable } from '../database.ts';
import { batchColumns, toClientBatch } from './batch-row.ts';
import type { BatchRow, ClientBatch } from './batch-row.ts';

/** A batch that the scheduler has to move on. Its `completed` and `failed` are not counted. */
export interface OpenClientBatch extends ClientBatch {
  /** Lines whose jobs are open, or are not there yet. */
  hasOpenLines: boolean;
}

const FIND = `
SELECT ${batchColumns}, EXISTS (
  SELECT FROM client_batch_lines l WHERE l.batch_id = b.id AND l.status IS NULL) AS "hasOpenLines"
FROM client_batches b, (SELECT 0 AS completed, 0 AS failed) lines WHERE b.ended_at IS NULL ORDER BY b.id LIMIT $1`;

/** The batches that have not ended, the oldest first. */
export async function findOpenClientBatches(database: Queryable, limit: number): Promise<OpenClientBatch[]> {
  const rows = await database.query<BatchRow & { hasOpenLines: boolean }>(FIND, [limit]);
  return rows.map(({ hasOpenLines, ...row }) => ({ ...toClientBatch(row), hasOpenLines }));
}
