import type { Database } from '../database.ts';

const CLOSE = `
WITH lost AS (
  SELECT a.job_id, a.step_key, a.number FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
  WHERE a.status = 'sent' AND s.status IN ('cancelled', 'completed', 'failed')
    AND s.finished_at < now() - $1 * interval '1 millisecond' AND a.sent_at < now() - $1 * interval '1 millisecond'
    -- The lines of a batch end with it, however long it takes.
    AND NOT EXISTS (SELECT FROM provider_batches b WHERE b.id = a.batch_id AND b.status <> 'ended')
  ORDER BY a.job_id LIMIT $2
), jobs_of AS MATERIALIZED (
  SELECT id FROM jobs WHERE id IN (SELECT job_id FROM lost) ORDER BY id FOR NO KEY UPDATE
), closed AS (
  UPDATE attempts a SET status = 'ambiguous', finished_at = now() FROM lost l JOIN jobs_of j ON j.id = l.job_id
  WHERE a.job_id = l.job_id AND a.step_key = l.step_key AND a.number = l.number
    -- A report that was committed while the jobs were waited for says more than this does.
    AND a.status = 'sent'
  RETURNING a.job_id, a.step_key
), on_steps AS (
  UPDATE steps s SET ambiguous = true, ambiguous_calls = s.ambiguous_calls + each.calls
  FROM (SELECT job_id, step_key, count(*)::int AS calls FROM closed GROUP BY job_id, step_key) AS each
  WHERE s.job_id = each.job_id AND s.key = each.step_key
)
UPDATE jobs SET ambiguous_calls = ambiguous_calls + each.calls
FROM (SELECT job_id, count(*)::int AS calls FROM closed GROUP BY job_id) AS each WHERE jobs.id = each.job_id
RETURNING each.calls`;

/**
 * Closes attempts of steps that ended long ago while their calls were under way and whose worker never reported: it died
 * while it aborted them. Nobody claims such a step again, so nobody else would say that the call may have been billed: it is
 * counted on step and job. What it has booked stays booked. Returns how many were closed, of at most `limit`.
 */
export async function closeLostAttempts(
  database: Database,
  olderThanMs: number,
  limit: number,
): Promise<number> {
  const rows = await database.query<{ calls: number }>(CLOSE, [olderThanMs, limit]);
  return rows.reduce((sum, row) => sum + row.calls, 0);
}
