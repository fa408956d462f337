import type { Queryable } from '../database.ts';
import { fileIsVisible } from './file-row.ts';

const DELETE = `
UPDATE client_files SET status = 'deleted', expires_at = now()
WHERE id = $1 AND tenant_id = $2 AND ${fileIsVisible} RETURNING id`;

/** Takes a file away from its tenant; its blob goes with the next sweep. False when the tenant has no such file. */
export async function deleteFile(database: Queryable, tenantId: string, fileId: string): Promise<boolean> {
  return (await database.query(DELETE, [fileId, tenantId])).length > 0;
}
