import type { Database } from '../database.ts';
import { finishJobs } from '../jobs/finish-job.ts';
import type { FinishedJob } from '../jobs/finish-job.ts';

/** Locked in the order of their ids, as by everybody who locks several. */
const LOCK = `
SELECT id FROM jobs WHERE finished_at IS NULL AND id = ANY (ARRAY(
  SELECT job_id FROM client_batch_lines WHERE batch_id = $1 AND status IS NULL ORDER BY line LIMIT $2))
ORDER BY id FOR NO KEY UPDATE`;

/** Ends open jobs of a batch as `cancelled`, at most `limit`, in one transaction; returns what to tell the fleet, by job. */
export async function cancelOpenClientJobs(
  database: Database,
  batchId: string,
  limit: number,
): Promise<Map<string, FinishedJob>> {
  return database.transaction(async (transaction) => {
    const jobs = await transaction.query<{ id: string }>(LOCK, [batchId, limit]);
    const ending = { status: 'cancelled', output: null, error: null } as const;
    return finishJobs(transaction, new Map(jobs.map(({ id }) => [id, ending])));
  });
}
