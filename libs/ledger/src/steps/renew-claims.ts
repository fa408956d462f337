import type { Queryable } from '../database.ts';
import type { StepReference } from './claim-steps.ts';

/**
 * A heartbeat waits for nobody: one process that stands still with a row locked would otherwise cost a healthy worker the
 * leases of all that it holds. A row that is locked is left for the next beat, and counts as held until it says otherwise.
 */
const RENEW = `
WITH mine AS (
  SELECT s.job_id, s.key, s.fence
  FROM steps s JOIN unnest($1::text[], $2::text[], $3::int[]) AS h (job_id, key, fence) USING (job_id, key, fence)
  WHERE s.status IN ('claimed', 'sent')
), unlocked AS (
  SELECT s.job_id, s.key, s.fence FROM steps s JOIN mine m ON s.job_id = m.job_id AND s.key = m.key
  FOR NO KEY UPDATE OF s SKIP LOCKED
), renewed AS (
  UPDATE steps s SET wake_at = now() + $4 * interval '1 millisecond'
  FROM unlocked u JOIN mine m ON m.job_id = u.job_id AND m.key = u.key AND m.fence = u.fence
  WHERE s.job_id = u.job_id AND s.key = u.key AND s.fence = u.fence AND s.status IN ('claimed', 'sent')
)
SELECT job_id, key, fence FROM mine`;

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
