import type { JobError } from '@millrace/contracts';
import type { Database } from '../database.ts';
import { finishJob } from './finish-job.ts';
import type { FinishedJob } from './finish-job.ts';

const LOCK = `SELECT id FROM jobs WHERE id = $1 AND finished_at IS NULL FOR NO KEY UPDATE`;

/** Ends a job as `failed` from outside its plan (a plan that kills its worker each time). Null when it has ended. */
export async function failJob(
  database: Database,
  jobId: string,
  error: JobError,
): Promise<FinishedJob | null> {
  return database.transaction(async (transaction) => {
    const [job] = await transaction.query<{ id: string }>(LOCK, [jobId]);
    return job ? finishJob(transaction, jobId, { status: 'failed', output: null, error }) : null;
  });
}
