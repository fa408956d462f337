import type { Queryable } from '../database.ts';

/** Few enough that a statement is done in a moment, however much waits. */
const AT_A_TIME = 5_000;

// What somebody has locked at the moment is being worked on, and its wake is put on the queue by whoever does that.

const JOBS = `
UPDATE jobs SET wake_at = now(), wake_count = 0
WHERE id = ANY (ARRAY(
  SELECT id FROM jobs
  WHERE finished_at IS NULL AND (status = 'queued' OR steps_open <= 0) AND (wake_at IS NULL OR wake_at > now())
  LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED))
RETURNING 1`;

const STEPS = `
WITH waiting AS (
  SELECT job_id, key FROM steps WHERE status = 'pending' AND wake_at > now() LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE steps s SET wake_at = now(), wake_count = 0
FROM waiting w WHERE s.job_id = w.job_id AND s.key = w.key
RETURNING 1`;

const DELIVERIES = `
UPDATE webhook_deliveries SET wake_at = now(), wake_count = 0
WHERE id = ANY (ARRAY(
  SELECT id FROM webhook_deliveries WHERE status = 'pending' AND wake_at > now()
  LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED))
RETURNING 1`;

/**
 * Makes everything that waits for a wake overdue at once. For the moment when the transport is known to have lost its
 * content: the reconciler then puts all of it back, what has to wait with its delay. Goes in small statements, so that a
 * large backlog cannot run into the statement time-out; `atATime` is for tests. Returns how
 * many rows waited.
 */
export async function wakeEverything(database: Queryable, atATime = AT_A_TIME): Promise<number> {
  let woken = 0;
  for (const statement of [JOBS, STEPS, DELIVERIES]) {
    let rows: number;
    do {
      rows = (await database.query(statement, [atATime])).length;
      woken += rows;
    } while (rows === atATime);
  }
  return woken;
}
