import { createId } from '@millrace/contracts';
import type { JobError, Json, TerminalJobStatus } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { appendEvents } from './append-events.ts';
import type { StoredEvent } from './append-events.ts';
import { insertDeliveries } from '../webhooks/insert-deliveries.ts';

/** How a job ends. */
export interface Ending {
  status: TerminalJobStatus;
  output: Json | null;
  error: JobError | null;
}

/** What the end of a job leaves to do outside the ledger: tell those who watch, wake the deliveries. */
export interface FinishedJob {
  type: string;
  status: TerminalJobStatus;
  /** From acceptance to the end. */
  seconds: number;
  /** Steps that were still open and are wanted no more; workers may be running them. */
  droppedSteps: number;
  events: StoredEvent[];
  deliveryIds: string[];
}

const FINISH = `
UPDATE jobs SET status = $2, output = $3, error = $4, finished_at = now(), wake_at = NULL, steps_open = 0
WHERE id = $1 AND finished_at IS NULL
RETURNING tenant_id, webhook, type, extract(epoch FROM now() - created_at)::float8 AS seconds`;

/** Locked in the order of their keys, as by everybody who locks several. */
const CANCEL_OPEN_STEPS = `
WITH open AS (
  SELECT job_id, key FROM steps WHERE job_id = $1 AND status IN ('pending', 'collected', 'claimed', 'sent', 'held')
  ORDER BY key FOR NO KEY UPDATE
)
UPDATE steps s SET status = 'cancelled', wake_at = NULL, finished_at = now()
FROM open WHERE s.job_id = open.job_id AND s.key = open.key RETURNING s.key`;

/**
 * Writes a job's terminal state, its terminal event and the webhook deliveries, and takes its open steps off the books.
 * The caller's transaction holds the job's row. Null when the job has ended already: the first ending stands.
 */
export async function finishJob(
  transaction: Queryable,
  jobId: string,
  ending: Ending,
): Promise<FinishedJob | null> {
  const [job] = await transaction.query<{
    tenant_id: string;
    webhook: unknown;
    type: string;
    seconds: number;
  }>(FINISH, [
    jobId,
    ending.status,
    ending.output === null ? null : JSON.stringify(ending.output),
    ending.error === null ? null : JSON.stringify(ending.error),
  ]);
  if (!job) return null;
  const dropped = await transaction.query(CANCEL_OPEN_STEPS, [jobId]);
  const type = `job.${ending.status}` as const;
  const events = await appendEvents(transaction, [
    { jobId, type, data: ending.error === null ? {} : { error: ending.error } },
  ]);
  const deliveryIds = await insertDeliveries(transaction, {
    tenantId: job.tenant_id,
    jobId,
    eventId: createId('event'),
    eventType: type,
    webhook: job.webhook,
  });
  return {
    type: job.type,
    status: ending.status,
    seconds: job.seconds,
    droppedSteps: dropped.length,
    events,
    deliveryIds,
  };
}
