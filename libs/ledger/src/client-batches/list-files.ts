import type { Queryable } from '../database.ts';
import { fileColumns, fileIsVisible } from './file-row.ts';
import type { ClientFile } from './file-row.ts';

const list = (comparison: '<' | '>', direction: 'ASC' | 'DESC') => `
SELECT ${fileColumns} FROM client_files
WHERE tenant_id = $1 AND ${fileIsVisible} AND ($2::text IS NULL OR purpose = $2)
  AND ($3::text IS NULL OR id ${comparison} $3)
ORDER BY id ${direction} LIMIT $4`;

const NEWEST_FIRST = list('<', 'DESC');
const OLDEST_FIRST = list('>', 'ASC');

/** One page of a tenant's files; `after` is the last id of the page before. */
export async function listFiles(
  database: Queryable,
  filter: {
    tenantId: string;
    purpose: string | null;
    after: string | null;
    order: 'asc' | 'desc';
    limit: number;
  },
): Promise<{ files: ClientFile[]; hasMore: boolean }> {
  const rows = await database.query<ClientFile>(filter.order === 'asc' ? OLDEST_FIRST : NEWEST_FIRST, [
    filter.tenantId,
    filter.purpose,
    filter.after,
    filter.limit + 1,
  ]);
  return { files: rows.slice(0, filter.limit), hasMore: rows.length > filter.limit };
}
