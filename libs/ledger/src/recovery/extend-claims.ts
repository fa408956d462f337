import type { Queryable } from '../database.ts';

/** A row that is locked now belongs to somebody who lives: a heartbeat, a claim, an outcome. */
const EXTEND = `
WITH held AS (
  SELECT job_id, key FROM steps
  WHERE status IN ('claimed', 'sent') AND wake_at < now() + $1 * interval '1 millisecond'
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE steps s SET wake_at = now() + $1 * interval '1 millisecond'
FROM held WHERE s.job_id = held.job_id AND s.key = held.key
RETURNING s.key`;

/**
 * Gives every holder of a step a new lease. For the moment after the ledger was away: nobody could renew, and workers that
 * hold paid answers must get to record them before others take their steps over. Returns how many leases were extended.
 */
export async function extendClaims(database: Queryable, leaseMs: number): Promise<number> {
  return (await database.query(EXTEND, [leaseMs])).length;
}
