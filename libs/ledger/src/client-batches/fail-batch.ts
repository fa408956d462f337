import type { Database } from '../database.ts';
import { insertBatchDeliveries } from './batch-deliveries.ts';
import type { ClientBatchProblem } from './batch-row.ts';

const FAIL = `
UPDATE client_batches SET status = 'failed', failed_at = now(), ended_at = now(), errors = $2::json
WHERE id = $1 AND status = 'validating' RETURNING tenant_id AS "tenantId"`;

/**
 * Ends a batch whose input is not valid, with its webhook deliveries, whose ids it returns. Null when the batch was
 * cancelled meanwhile.
 */
export async function failClientBatch(
  database: Database,
  batchId: string,
  problems: readonly ClientBatchProblem[],
): Promise<string[] | null> {
  return database.transaction(async (transaction) => {
    const [failed] = await transaction.query<{ tenantId: string }>(FAIL, [batchId, JSON.stringify(problems)]);
    if (!failed) return null;
    return insertBatchDeliveries(transaction, { tenantId: failed.tenantId, batchId, status: 'failed' });
  });
}
