import type { Queryable } from '../database.ts';
import { batchColumns, countedLines, toClientBatch } from './batch-row.ts';
import type { BatchRow, ClientBatch } from './batch-row.ts';

const FIND = `
SELECT ${batchColumns} FROM client_batches b ${countedLines} WHERE b.id = $1 AND b.tenant_id = $2`;

/** The tenant's batch with this id, or null: a foreign id answers like an unknown one. */
export async function findClientBatch(
  database: Queryable,
  tenantId: string,
  batchId: string,
): Promise<ClientBatch | null> {
  const [row] = await database.query<BatchRow>(FIND, [batchId, tenantId]);
  return row ? toClientBatch(row) : null;
}
