import type { Database } from '../database.ts';
import type { ClientBatch } from './batch-row.ts';
import { fileIsVisible } from './file-row.ts';
import { findClientBatch } from './find-batch.ts';

/** A batch as a client asks for it. */
export interface NewClientBatch {
  id: string;
  tenantId: string;
  apiKeyId: string;
  requestId: string;
  endpoint: string;
  inputFileId: string;
  completionWindow: string;
  windowMs: number;
  metadata: Record<string, string> | null;
  /** How long its results are kept; null: as long as any other file of a batch. */
  outputLifeSeconds: number | null;
}

/** The file is locked, so that a sweep that removes it either comes before and is seen, or sees the batch. */
const FIND_INPUT = `
SELECT purpose FROM client_files WHERE id = $1 AND tenant_id = $2 AND ${fileIsVisible} FOR SHARE`;

const INSERT = `
INSERT INTO client_batches (id, tenant_id, api_key_id, request_id, endpoint, input_file_id, completion_window,
  expires_at, metadata, output_expires_after_seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8 * interval '1 millisecond', $9::json, $10)`;

/** Creates a batch over a file of its tenant; the scheduler validates it. */
export async function createClientBatch(
  database: Database,
  batch: NewClientBatch,
): Promise<ClientBatch | 'no_such_file' | 'wrong_purpose'> {
  return database.transaction(async (transaction) => {
    const [input] = await transaction.query<{ purpose: string }>(FIND_INPUT, [
      batch.inputFileId,
      batch.tenantId,
    ]);
    if (!input) return 'no_such_file';
    if (input.purpose !== 'batch') return 'wrong_purpose';
    await transaction.query(INSERT, [
      batch.id,
      batch.tenantId,
      batch.apiKeyId,
      batch.requestId,
      batch.endpoint,
      batch.inputFileId,
      batch.completionWindow,
      batch.windowMs,
      batch.metadata === null ? null : JSON.stringify(batch.metadata),
      batch.outputLifeSeconds,
    ]);
    const created = await findClientBatch(transaction, batch.tenantId, batch.id);
    if (!created) throw new Error(`the batch ${batch.id} is gone from its own transaction`);
    return created;
  });
}
