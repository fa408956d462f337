import type { Queryable } from '../database.ts';

const CLOSE = `
UPDATE client_batch_lines SET status = $3 WHERE batch_id = $1 AND line = ANY ($2) AND status IS NULL`;

/** Ends lines that have not become jobs and will not. */
export async function closeClientLines(
  database: Queryable,
  batchId: string,
  lines: readonly number[],
  status: 'failed' | 'cancelled' | 'expired',
): Promise<void> {
  await database.query(CLOSE, [batchId, lines, status]);
}
