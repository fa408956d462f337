import type { Database } from '../database.ts';

const JOBS = `
UPDATE jobs SET wake_at = now(), wake_count = 0
WHERE finished_at IS NULL AND (status = 'queued' OR steps_open <= 0)`;
const STEPS = `UPDATE steps SET wake_at = least(wake_at, now()), wake_count = 0 WHERE status = 'pending'`;
const DELIVERIES = `UPDATE webhook_deliveries SET wake_at = least(wake_at, now()), wake_count = 0 WHERE status = 'pending'`;

/**
 * Makes everything that waits for a wake overdue at once. For the moment when the transport is known to have lost its
 * content: the reconciler then puts all of it back, what has to wait with its delay.
 */
export async function wakeEverything(database: Database): Promise<void> {
  await database.transaction(async (transaction) => {
    for (const statement of [JOBS, STEPS, DELIVERIES]) await transaction.query(statement);
  });
}
