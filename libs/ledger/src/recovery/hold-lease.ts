import type { Queryable } from '../database.ts';

const HOLD = `
INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, now() + $3 * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder = excluded.holder OR leases.expires_at < now()
RETURNING holder`;

/**
 * Takes or renews a named lease for a time; true when `holder` has it now. The ledger's clock decides, so a holder that
 * was frozen finds out on its next call. What a leader does must still be harmless when two do it for a moment.
 */
export async function holdLease(
  database: Queryable,
  name: string,
  holder: string,
  forMs: number,
): Promise<boolean> {
  const rows = await database.query(HOLD, [name, holder, forMs]);
  return rows.length === 1;
}

const RELEASE = `DELETE FROM leases WHERE name = $1 AND holder = $2`;

/** Gives a lease back at once, so that the next leader need not wait for its end. */
export async function releaseLease(database: Queryable, name: string, holder: string): Promise<void> {
  await database.query(RELEASE, [name, holder]);
}
