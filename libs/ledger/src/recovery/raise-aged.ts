import type { Queryable } from '../database.ts';
import type { AgedStep } from './find-aged.ts';

/** What somebody has locked at the moment is being worked on: it waits no more, or is found again. */
const RAISE = `
WITH aged AS (
  SELECT s.job_id, s.key, a.priority
  FROM steps s JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS a (job_id, key, was, priority) USING (job_id, key)
  WHERE s.status = 'pending' AND s.priority = a.was
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE steps s SET priority = a.priority, class_since = now()
FROM aged a WHERE s.job_id = a.job_id AND s.key = a.key RETURNING 1`;

/**
 * Writes that steps are in the class that they have been raised to. Comes after their wakes have been moved: if it fails, they
 * are found and moved once more. Returns how many were raised.
 */
export async function raiseAged(database: Queryable, steps: readonly AgedStep[]): Promise<number> {
  const rows = await database.query(RAISE, [
    steps.map((step) => step.jobId),
    steps.map((step) => step.key),
    steps.map((step) => step.from),
    steps.map((step) => step.priority),
  ]);
  return rows.length;
}
