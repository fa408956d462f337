import type { Database } from '../database.ts';

const LOCK = `SELECT finished_at IS NOT NULL AS over FROM jobs WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE`;
const ERASE_JOB = `
UPDATE jobs SET content = NULL, output = NULL, metadata = '{}', webhook = NULL,
  error = CASE WHEN error IS NULL THEN NULL ELSE json_build_object('code', error->>'code', 'message', 'erased') END,
  erased_at = coalesce(erased_at, now())
WHERE id = $1`;
const ERASE_STEPS = `UPDATE steps SET request = NULL, output = NULL, repair = NULL, error = NULL,
  request_hash = NULL WHERE job_id = $1`;
const ERASE_ATTEMPTS = `UPDATE attempts SET error_message = NULL WHERE job_id = $1`;
const ERASE_EVENTS = `UPDATE job_events SET data = '{}' WHERE job_id = $1`;

/**
 * Erases what a terminal job was about: plan, data, results, messages. What it used and cost stays, and so does its
 * idempotency key. `open` when the job has not ended: nothing is erased.
 */
export async function eraseJob(
  database: Database,
  tenantId: string,
  jobId: string,
): Promise<'erased' | 'open' | 'unknown'> {
  return database.transaction(async (transaction) => {
    const [job] = await transaction.query<{ over: boolean }>(LOCK, [jobId, tenantId]);
    if (!job) return 'unknown';
    if (!job.over) return 'open';
    for (const statement of [ERASE_JOB, ERASE_STEPS, ERASE_ATTEMPTS, ERASE_EVENTS])
      await transaction.query(statement, [jobId]);
    return 'erased';
  });
}
