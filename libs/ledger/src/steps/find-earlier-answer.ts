import { jsonSchema } from '@millrace/contracts';
import type { Json } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

const FIND = `
SELECT s.output FROM steps s JOIN jobs j ON j.id = s.job_id
WHERE s.request_hash = $1 AND s.finished_at > now() - $3 * interval '1 millisecond'
  AND s.status = 'completed' AND s.degraded IS NULL AND s.output IS NOT NULL AND j.tenant_id = $2
ORDER BY s.finished_at DESC LIMIT 1`;

/** The last answer that an identical request of the tenant got within a time, unless its job was erased; null without one. */
export async function findEarlierAnswer(
  database: Queryable,
  request: { requestHash: string; tenantId: string; withinMs: number },
): Promise<{ output: Json } | null> {
  const [row] = await database.query<{ output: unknown }>(FIND, [
    request.requestHash,
    request.tenantId,
    request.withinMs,
  ]);
  return row ? { output: jsonSchema.parse(row.output) } : null;
}
