import type { Queryable } from '../database.ts';

/** What is known of how long a target's batches take. */
export interface BatchDurations {
  target: string;
  /** How many batches it is known from, at most 200. */
  count: number;
  /** Milliseconds from submission to the end that 99 in 100 of them stayed within. */
  p99Ms: number;
  /** Milliseconds that steps which left the lane took to their end, 99 in 100; null when none did. */
  escapeP99Ms: number | null;
}

/**
 * A batch that failed as a whole tells nothing; one that was cancelled or expired took at least as long. So did a step whose job expired
 * after it had left the lane: without it, a margin that is too short would never be seen to be.
 */
const DURATIONS = `
WITH latest AS (
  SELECT b.target, extract(epoch FROM b.ended_at - b.submitted_at) * 1000 AS ms,
    row_number() OVER (PARTITION BY b.target ORDER BY b.ended_at DESC) AS place
  FROM provider_batches b
  WHERE b.ended_at > now() - interval '30 days' AND b.submitted_at IS NOT NULL AND b.outcome IN ('completed', 'expired', 'cancelled')
), escapes AS (
  SELECT target, percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - escaped_at) * 1000) AS ms
  FROM steps s WHERE escaped_at > now() - interval '7 days' AND finished_at IS NOT NULL
    AND (status = 'completed' OR EXISTS (SELECT FROM jobs j WHERE j.id = s.job_id AND j.status = 'expired'))
  GROUP BY target
), batches AS (
  SELECT target, count(*)::int AS count, percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::float8 AS "p99Ms"
  FROM latest WHERE place <= 200 GROUP BY target
)
SELECT target, coalesce(b.count, 0) AS count, coalesce(b."p99Ms", 0) AS "p99Ms", e.ms::float8 AS "escapeP99Ms"
FROM batches b FULL JOIN escapes e USING (target)`;

/** The running distribution of batch durations, per target that has had a batch in the last 30 days. */
export async function findBatchDurations(database: Queryable): Promise<BatchDurations[]> {
  return database.query(DURATIONS);
}
