import type { Queryable } from '../database.ts';

/** A file stays while a batch that has not ended reads it. */
const FIND = `
SELECT id FROM client_files f WHERE expires_at <= now() AND NOT EXISTS (
  SELECT FROM client_batches b WHERE b.input_file_id = f.id AND b.ended_at IS NULL)
ORDER BY expires_at LIMIT $1`;

const FORGET = `DELETE FROM client_files WHERE id = ANY ($1) AND expires_at <= now()`;

/** Files that are deleted, expired, or were never finished, and whose blobs may go: their ids, at most `limit`. */
export async function findAbandonedFiles(database: Queryable, limit: number): Promise<string[]> {
  return (await database.query<{ id: string }>(FIND, [limit])).map((row) => row.id);
}

/** Forgets files whose blobs are gone. */
export async function forgetFiles(database: Queryable, fileIds: readonly string[]): Promise<void> {
  await database.query(FORGET, [fileIds]);
}
