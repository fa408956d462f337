import type { Queryable } from '../database.ts';
import { batchColumns, countedLines, toClientBatch } from './batch-row.ts';
import type { BatchRow, ClientBatch } from './batch-row.ts';

const LIST = `
SELECT ${batchColumns} FROM (
  SELECT * FROM client_batches WHERE tenant_id = $1 AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
) b ${countedLines} ORDER BY b.id DESC`;

/** One page of a tenant's batches, newest first; `after` is the last id of the page before. */
export async function listClientBatches(
  database: Queryable,
  filter: { tenantId: string; after: string | null; limit: number },
): Promise<{ batches: ClientBatch[]; hasMore: boolean }> {
  const rows = await database.query<BatchRow>(LIST, [filter.tenantId, filter.after, filter.limit + 1]);
  return { batches: rows.slice(0, filter.limit).map(toClientBatch), hasMore: rows.length > filter.limit };
}
