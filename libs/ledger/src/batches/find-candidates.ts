import type { Queryable } from '../database.ts';
import type { ClaimedStep, ClaimRow } from '../steps/claim-steps.ts';
import { batchStepColumns, toBatchStep } from './batch-step.ts';

/** What one look takes at most, so that memory stays flat however long the prompts are. */
const BYTES_AT_A_TIME = 8_000_000;

/** The sizes are read before the contents: a page of large prompts must not be loaded to be cut. */
const FIND = `
WITH waiting AS (
  SELECT s.job_id, s.key, s.created_at, octet_length(s.request::text) AS bytes FROM steps s
  WHERE s.status = 'collected' AND s.target = $1 AND coalesce(s.shape, '') = ANY ($2) AND s.not_before <= now()
  ORDER BY s.shape, s.created_at, s.job_id, s.key LIMIT $3
), fitting AS (
  SELECT job_id, key FROM (
    SELECT w.*, sum(bytes) OVER (ORDER BY created_at, job_id, key) - bytes AS before FROM waiting w
  ) AS w WHERE before < ${BYTES_AT_A_TIME}
)
SELECT ${batchStepColumns}
FROM fitting f JOIN steps s ON s.job_id = f.job_id AND s.key = f.key JOIN jobs j ON j.id = s.job_id
LEFT JOIN tenants t ON t.id = j.tenant_id
WHERE s.status = 'collected' AND j.finished_at IS NULL
ORDER BY s.created_at, s.job_id, s.key`;

/**
 * Collected steps of a target and of these shapes, the oldest first, at most `limit` and about 8 MB of requests. Their
 * fence is the one they have now; binding raises it.
 */
export async function findCandidates(
  database: Queryable,
  target: string,
  shapes: readonly string[],
  limit: number,
): Promise<ClaimedStep[]> {
  const rows = await database.query<ClaimRow>(FIND, [target, shapes, limit]);
  return rows.map(toBatchStep);
}
