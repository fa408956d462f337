import type { JobStatus } from '@millrace/contracts';
import type { Database } from '../database.ts';
import { finishJob } from './finish-job.ts';
import type { FinishedJob } from './finish-job.ts';

const LOCK = `SELECT status FROM jobs WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE`;

/**
 * Ends a job as `cancelled`. Null when the tenant has no such job; `finished` is null when it had ended already, which
 * changes nothing.
 */
export async function cancelJob(
  database: Database,
  tenantId: string,
  jobId: string,
): Promise<{ finished: FinishedJob | null } | null> {
  return database.transaction(async (transaction) => {
    const [job] = await transaction.query<{ status: JobStatus }>(LOCK, [jobId, tenantId]);
    if (!job) return null;
    return {
      finished: await finishJob(transaction, jobId, { status: 'cancelled', output: null, error: null }),
    };
  });
}
