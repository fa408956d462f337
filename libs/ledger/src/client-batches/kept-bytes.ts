import type { Queryable } from '../database.ts';
import { fileIsVisible } from './file-row.ts';

/** A deleted file counts for as long as a batch under way reads it. */
const COUNT = `
SELECT (
  (SELECT coalesce(sum(bytes), 0) FROM client_files WHERE tenant_id = $1 AND ${fileIsVisible})
  + (SELECT coalesce(sum(bytes), 0) FROM client_files
     WHERE tenant_id = $1 AND bytes IS NOT NULL AND NOT (${fileIsVisible}) AND id IN (
       SELECT input_file_id FROM client_batches WHERE tenant_id = $1 AND ended_at IS NULL))
)::bigint AS bytes`;

/** How many bytes of a tenant's files are kept: what it uploaded and what its batches gave back. */
export async function countKeptBytes(database: Queryable, tenantId: string): Promise<number> {
  const [kept] = await database.query<{ bytes: number }>(COUNT, [tenantId]);
  return kept?.bytes ?? 0;
}
