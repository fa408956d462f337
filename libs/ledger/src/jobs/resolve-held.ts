import type { Database } from '../database.ts';

/** What happens to steps whose call was sent and whose answer was lost. */
export interface Resolution {
  tenantId: string;
  jobId: string;
  /** One step, or null for all that are held. */
  key: string | null;
  action: 'retry' | 'fail';
}

const LOCK = `SELECT id FROM jobs WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE`;

const RESOLVE = `
WITH held AS (
  SELECT job_id, key FROM steps WHERE job_id = $1 AND status = 'held' AND ($2::text IS NULL OR key = $2)
  ORDER BY key FOR NO KEY UPDATE
), numbered AS (
  SELECT h.job_id, h.key, j.last_ordinal + row_number() OVER (ORDER BY h.key) AS ordinal
  FROM held h JOIN jobs j ON j.id = h.job_id
)
UPDATE steps s SET
  status = CASE WHEN $3 = 'retry' THEN 'pending' ELSE 'failed' END,
  error = CASE WHEN $3 = 'retry' THEN NULL ELSE error END,
  ordinal = CASE WHEN $3 = 'fail' THEN n.ordinal END,
  finished_at = CASE WHEN $3 = 'fail' THEN now() END,
  wake_at = CASE WHEN $3 = 'retry' THEN now() + interval '10 seconds' END, wake_count = 0, not_before = now()
FROM numbered n WHERE s.job_id = n.job_id AND s.key = n.key
RETURNING s.key, s.pool, s.fence, s.priority`;

const GO_ON = `
UPDATE jobs SET
  status = CASE WHEN EXISTS (SELECT FROM steps WHERE job_id = $1 AND status = 'held') THEN status ELSE 'in_progress' END,
  last_ordinal = last_ordinal + $2, steps_open = steps_open - $2, wake_at = least(now() + interval '5 seconds', deadline_at), wake_count = 0
WHERE id = $1 AND finished_at IS NULL`;

/**
 * Applies a person's decision to held steps: `retry` sends them again, `fail` fails them with the error they were held
 * for. Null when the tenant has no such job; an empty list when nothing was held. The caller wakes the steps and the job.
 */
export async function resolveHeldSteps(
  database: Database,
  resolution: Resolution,
): Promise<{ key: string; pool: string; fence: number; priority: string }[] | null> {
  return database.transaction(async (transaction) => {
    const [job] = await transaction.query(LOCK, [resolution.jobId, resolution.tenantId]);
    if (!job) return null;
    const steps = await transaction.query<{ key: string; pool: string; fence: number; priority: string }>(
      RESOLVE,
      [resolution.jobId, resolution.key, resolution.action],
    );
    if (steps.length > 0) {
      const ended = resolution.action === 'fail' ? steps.length : 0;
      await transaction.query(GO_ON, [resolution.jobId, ended]);
    }
    return steps;
  });
}
