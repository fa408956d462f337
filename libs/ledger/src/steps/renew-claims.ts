import type { Queryable } from '../database.ts';
import type { StepReference } from './claim-steps.ts';

const RENEW = `
WITH held AS (
  SELECT s.job_id, s.key, s.fence
  FROM steps s JOIN unnest($1::text[], $2::text[], $3::int[]) AS h (job_id, key, fence) USING (job_id, key, fence)
  WHERE s.status IN ('claimed', 'sent')
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s
)
UPDATE steps s SET wake_at = now() + $4 * interval '1 millisecond'
FROM held
WHERE s.job_id = held.job_id AND s.key = held.key AND s.fence = held.fence AND s.status IN ('claimed', 'sent')
RETURNING s.job_id, s.key, s.fence`;

/**
 * A worker's heartbeat: pushes the leases of what it holds. Returns the claims that are lost (taken over, cancelled,
 * ended): the worker must drop those calls.
 */
export async function renewClaims<Claim extends StepReference & { fence: number }>(
  database: Queryable,
  claims: readonly Claim[],
  leaseMs: number,
): Promise<Claim[]> {
  if (claims.length === 0) return [];
  const rows = await database.query<{ job_id: string; key: string; fence: number }>(RENEW, [
    claims.map((claim) => claim.jobId),
    claims.map((claim) => claim.key),
    claims.map((claim) => claim.fence),
    leaseMs,
  ]);
  const renewed = new Set(rows.map((row) => `${row.job_id} ${row.key} ${row.fence}`));
  return claims.filter((claim) => !renewed.has(`${claim.jobId} ${claim.key} ${claim.fence}`));
}
