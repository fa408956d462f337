import type { Database } from '../database.ts';
import type { ClientBatch } from './batch-row.ts';
import { findClientBatch } from './find-batch.ts';

const CANCEL = `
UPDATE client_batches SET status = 'cancelling', cancelling_at = now()
WHERE id = $1 AND tenant_id = $2 AND status IN ('validating', 'in_progress', 'finalizing')`;

/** Asks for the end of a batch; one that is being cancelled or has ended stays as it is. Null when the tenant has none such. */
export async function cancelClientBatch(
  database: Database,
  tenantId: string,
  batchId: string,
): Promise<ClientBatch | null> {
  await database.query(CANCEL, [batchId, tenantId]);
  return findClientBatch(database, tenantId, batchId);
}
