import type { Queryable } from '../database.ts';
import { fileColumns, fileIsVisible } from './file-row.ts';
import type { ClientFile } from './file-row.ts';

const FIND = `SELECT ${fileColumns} FROM client_files WHERE id = $1 AND tenant_id = $2 AND ${fileIsVisible}`;

/** The tenant's file with this id, or null: a foreign id answers like an unknown, deleted or expired one. */
export async function findFile(
  database: Queryable,
  tenantId: string,
  fileId: string,
): Promise<ClientFile | null> {
  const [file] = await database.query<ClientFile>(FIND, [fileId, tenantId]);
  return file ?? null;
}
