import type { Queryable } from '../database.ts';

/** How many steps one statement deletes at most (a job goes whole): some seconds of work. */
const STEPS_AT_A_TIME = 10_000;

/**
 * Jobs whose webhooks are still being tried stay, and those of a batch whose results are not written yet, and so do those
 * that somebody has locked at the moment.
 */
const PRUNE = `
WITH old AS (
  SELECT id, finished_at, steps_known FROM jobs
  WHERE finished_at < now() - $1 * interval '1 millisecond' AND NOT EXISTS (
    SELECT FROM webhook_deliveries d WHERE d.job_id = jobs.id AND d.status = 'pending')
  AND NOT EXISTS (SELECT FROM client_batch_lines l WHERE l.job_id = jobs.id)
  ORDER BY finished_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
), weighed AS (
  SELECT id, sum(steps_known) OVER (ORDER BY finished_at, id) - steps_known AS steps_before FROM old
)
DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM weighed WHERE steps_before < ${STEPS_AT_A_TIME}))
RETURNING id`;

/**
 * Deletes jobs that ended longer ago than `retentionMs`, at most `limit`, with their steps, events and deliveries. Their
 * idempotency keys go with them; usage rows stay. Goes in small statements, so that jobs with many steps cannot run into
 * the statement time-out. Returns how many went.
 */
export async function pruneJobs(database: Queryable, retentionMs: number, limit: number): Promise<number> {
  let pruned = 0;
  while (pruned < limit) {
    const rows = await database.query(PRUNE, [retentionMs, limit - pruned]);
    if (rows.length === 0) break;
    pruned += rows.length;
  }
  return pruned;
}
