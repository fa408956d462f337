import type { Database, Queryable } from '../database.ts';
import { insertBatchDeliveries } from './batch-deliveries.ts';
import type { ClientBatchUsage } from './batch-row.ts';

/** How a batch ends. A file whose size is null was not written: there was nothing for it. */
export interface ClientBatchEnding {
  batchId: string;
  /** Lines that ended well, otherwise, and because the window was over (`expired` is part of `failed`). */
  completed: number;
  failed: number;
  expired: number;
  usage: ClientBatchUsage;
  output: { id: string; bytes: number } | null;
  errors: { id: string; bytes: number } | null;
  /** How long the files live when the batch itself does not say. */
  fileLifeSeconds: number;
}

type EndedStatus = 'completed' | 'failed' | 'expired' | 'cancelled';

const FINISH = `
UPDATE client_batches SET ended_at = now(), completed = $2, failed = $3, usage = $4::json, output_file_id = $5,
  error_file_id = $6,
  status = CASE WHEN status = 'cancelling' THEN 'cancelled' WHEN errors IS NOT NULL THEN 'failed'
    WHEN $7 THEN 'expired' ELSE 'completed' END,
  cancelled_at = CASE WHEN status = 'cancelling' THEN now() END,
  failed_at = CASE WHEN status <> 'cancelling' AND errors IS NOT NULL THEN now() END,
  expired_at = CASE WHEN status <> 'cancelling' AND errors IS NULL AND $7 THEN now() END,
  completed_at = CASE WHEN status <> 'cancelling' AND errors IS NULL AND NOT $7 THEN now() END
WHERE id = $1 AND status IN ('finalizing', 'cancelling')
RETURNING tenant_id AS "tenantId", status, output_expires_after_seconds AS "outputLifeSeconds"`;

const ADD_FILE = `
INSERT INTO client_files (id, tenant_id, status, purpose, file_name, bytes, expires_at)
VALUES ($1, $2, 'stored', 'batch_output', $3, $4, now() + $5 * interval '1 second')
ON CONFLICT (id) DO UPDATE SET status = 'stored', purpose = excluded.purpose, file_name = excluded.file_name,
  bytes = excluded.bytes, created_at = now(), expires_at = excluded.expires_at`;

const DROP_LINES = `DELETE FROM client_batch_lines WHERE batch_id = $1`;

/**
 * Ends a batch: its final state, its files and its webhook deliveries in one transaction; its lines are needed no more.
 * Returns the state and the ids of the deliveries, null when it has ended already.
 */
export async function finishClientBatch(
  database: Database,
  ending: ClientBatchEnding,
): Promise<{ status: EndedStatus; deliveryIds: string[] } | null> {
  const { batchId, output, errors } = ending;
  return database.transaction(async (transaction) => {
    const [ended] = await transaction.query<{
      tenantId: string;
      status: EndedStatus;
      outputLifeSeconds: number | null;
    }>(FINISH, [
      batchId,
      ending.completed,
      ending.failed,
      JSON.stringify(ending.usage),
      output?.id ?? null,
      errors?.id ?? null,
      ending.expired > 0,
    ]);
    if (!ended) return null;
    const { tenantId, status } = ended;
    const lifeSeconds = ended.outputLifeSeconds ?? ending.fileLifeSeconds;
    await addFile(transaction, tenantId, output, `${batchId}_output.jsonl`, lifeSeconds);
    await addFile(transaction, tenantId, errors, `${batchId}_error.jsonl`, lifeSeconds);
    await transaction.query(DROP_LINES, [batchId]);
    return { status, deliveryIds: await insertBatchDeliveries(transaction, { tenantId, batchId, status }) };
  });
}

async function addFile(
  transaction: Queryable,
  tenantId: string,
  file: { id: string; bytes: number } | null,
  fileName: string,
  lifeSeconds: number,
): Promise<void> {
  if (file === null) return;
  await transaction.query(ADD_FILE, [file.id, tenantId, fileName, file.bytes, lifeSeconds]);
}
