import type { Database, Queryable } from '../database.ts';
import type { ClientBatch } from './batch-row.ts';
import { fileIsVisible } from './file-row.ts';
import { findClientBatch } from './find-batch.ts';

/** Under which key a client asks for a batch, and a digest of all that it asks for. */
export interface IdempotencyOfBatch {
  key: string;
  fingerprint: Uint8Array;
}

/** A batch as a client asks for it. */
export interface NewClientBatch {
  id: string;
  /** A batch of the tenant with the same key is the same batch; null: it is a new one. */
  idempotency?: IdempotencyOfBatch | null;
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
  expires_at, metadata, output_expires_after_seconds, idempotency_key, fingerprint)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8 * interval '1 millisecond', $9::json, $10, $11, $12)
ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`;

const FIND_BY_KEY = `
SELECT id, fingerprint FROM client_batches WHERE tenant_id = $1 AND idempotency_key = $2`;

/** The batch that a tenant asked for with this key before; null when there is none, `key_reused` when it asked for another. */
export async function findClientBatchByKey(
  database: Queryable,
  tenantId: string,
  { key, fingerprint }: IdempotencyOfBatch,
): Promise<ClientBatch | 'key_reused' | null> {
  const [row] = await database.query<{ id: string; fingerprint: Uint8Array }>(FIND_BY_KEY, [tenantId, key]);
  if (!row) return null;
  if (Buffer.compare(row.fingerprint, fingerprint) !== 0) return 'key_reused';
  return findClientBatch(database, tenantId, row.id);
}

/** Creates a batch over a file of its tenant, or finds the one that its key stands for; the scheduler validates it. */
export async function createClientBatch(
  database: Database,
  batch: NewClientBatch,
): Promise<ClientBatch | 'no_such_file' | 'wrong_purpose' | 'key_reused'> {
  return database.transaction(async (transaction) => {
    const [input] = await transaction.query<{ purpose: string }>(FIND_INPUT, [
      batch.inputFileId,
      batch.tenantId,
    ]);
    if (!input) return 'no_such_file';
    if (input.purpose !== 'batch') return 'wrong_purpose';
    const { idempotency = null } = batch;
    const inserted = await transaction.query(INSERT, [
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
      idempotency?.key ?? null,
      idempotency?.fingerprint ?? null,
    ]);
    // Somebody committed the same key while this waited for it.
    if (inserted.length === 0 && idempotency) {
      const other = await findClientBatchByKey(transaction, batch.tenantId, idempotency);
      if (other) return other;
    }
    const created = await findClientBatch(transaction, batch.tenantId, batch.id);
    if (!created) throw new Error(`the batch ${batch.id} is gone from its own transaction`);
    return created;
  });
}
