import type { Database, Queryable } from '../database.ts';
import { fileColumns } from './file-row.ts';
import type { ClientFile } from './file-row.ts';
import { countKeptBytes } from './kept-bytes.ts';

const BEGIN = `
INSERT INTO client_files (id, tenant_id, status, expires_at)
VALUES ($1, $2, 'uploading', now() + $3 * interval '1 millisecond')`;

const STORE = `
UPDATE client_files SET status = 'stored', purpose = $2, file_name = $3, bytes = $4,
  expires_at = created_at + $5 * interval '1 second'
WHERE id = $1 AND status = 'uploading' AND expires_at > now() RETURNING ${fileColumns}`;

/** Those of one tenant one after the other: each sees what those before it keep. */
const TAKE_TURNS = `SELECT pg_advisory_xact_lock(hashtextextended('client_files/' || $1, 0))`;

const GIVE_UP = `UPDATE client_files SET status = 'deleted', expires_at = now() WHERE id = $1 AND status = 'uploading'`;

/** Notes that a content is about to be written under an id. What is not stored within `leaseMs` is removed by the scheduler. */
export async function beginFile(
  database: Queryable,
  file: { id: string; tenantId: string; leaseMs: number },
): Promise<void> {
  await database.query(BEGIN, [file.id, file.tenantId, file.leaseMs]);
}

/**
 * Makes a written content a file that its tenant sees. `too_late` when the upload took longer than its lease; `over_quota` when the
 * tenant's files would have more than `mostBytes` with it, also where several are stored at the same time.
 */
export async function storeFile(
  database: Database,
  file: {
    id: string;
    tenantId: string;
    purpose: string;
    fileName: string;
    bytes: number;
    lifeSeconds: number | null;
    mostBytes: number;
  },
): Promise<ClientFile | 'too_late' | 'over_quota'> {
  return database.transaction(async (transaction) => {
    await transaction.query(TAKE_TURNS, [file.tenantId]);
    const kept = await countKeptBytes(transaction, file.tenantId);
    if (kept + file.bytes > file.mostBytes) return 'over_quota';
    const [row] = await transaction.query<ClientFile>(STORE, [
      file.id,
      file.purpose,
      file.fileName,
      file.bytes,
      file.lifeSeconds,
    ]);
    return row ?? 'too_late';
  });
}

/** Ends an upload that failed: what was written of it goes with the next sweep. */
export async function giveUpFile(database: Queryable, fileId: string): Promise<void> {
  await database.query(GIVE_UP, [fileId]);
}
