import { ProblemError } from '@millrace/contracts';
import type { Priority } from '@millrace/contracts';
import { findJob, resolveHeldSteps } from '@millrace/ledger';
import type { Database, Resolution } from '@millrace/ledger';
import { announce } from './announce.ts';
import type { Announcer } from './announce.ts';

/** Applies a decision about held steps and wakes what goes on because of it. Throws `job_not_waiting` when nothing was held. */
export async function resolveHeld(
  options: Announcer & { database: Database },
  resolution: Resolution,
): Promise<void> {
  const { database, producer } = options;
  const steps = await resolveHeldSteps(database, resolution);
  const job = await findJob(database, resolution.tenantId, resolution.jobId);
  if (!steps || !job) throw new ProblemError('not_found', 'There is no such job.');
  if (steps.length === 0) {
    throw new ProblemError('job_not_waiting', 'No step of this job waits for a decision.');
  }
  await announce(options, 'resolution', () =>
    resolution.action === 'retry'
      ? producer.enqueueSteps(
          steps.map((step) => ({
            jobId: job.id,
            key: step.key,
            pool: step.pool,
            priority: step.priority as Priority,
            fence: step.fence,
            delayMs: 0,
            charge: null,
          })),
        )
      : producer.enqueueJobs([{ jobId: job.id, priority: job.priority }]),
  );
}
