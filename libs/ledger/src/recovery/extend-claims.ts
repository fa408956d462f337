import type { Queryable } from '../database.ts';

const EXTEND = `
UPDATE steps SET wake_at = now() + $1 * interval '1 millisecond'
WHERE status IN ('claimed', 'sent') AND wake_at < now() + $1 * interval '1 millisecond'
RETURNING key`;

/**
 * Gives every holder of a step a new lease. For the moment after the ledger was away: nobody could renew, and workers that
 * hold paid answers must get to record them before others take their steps over. Returns how many leases were extended.
 */
export async function extendClaims(database: Queryable, leaseMs: number): Promise<number> {
  return (await database.query(EXTEND, [leaseMs])).length;
}
