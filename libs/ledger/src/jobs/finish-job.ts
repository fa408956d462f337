import { createId } from '@millrace/contracts';
import type { JobError, Json, TerminalJobStatus } from '@millrace/contracts';
import { crashPoint, hasDefect } from '@millrace/faults';
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
UPDATE jobs SET status = e.status, output = e.output::json, error = e.error::json, finished_at = now(), wake_at = NULL,
  steps_open = 0
FROM json_to_recordset($1) AS e (job_id text, status text, output text, error text)
WHERE jobs.id = e.job_id AND jobs.finished_at IS NULL
RETURNING id, tenant_id, webhook, type, extract(epoch FROM now() - created_at)::float8 AS seconds`;

/** Locked in the order of their keys, as by everybody who locks several. */
const CANCEL_OPEN_STEPS = `
WITH open AS (
  SELECT job_id, key FROM steps
  WHERE job_id = ANY ($1) AND status IN ('pending', 'collected', 'claimed', 'sent', 'held')
  ORDER BY job_id, key FOR NO KEY UPDATE
)
UPDATE steps s SET status = 'cancelled', wake_at = NULL, finished_at = now()
FROM open WHERE s.job_id = open.job_id AND s.key = open.key RETURNING s.job_id`;

/**
 * Writes the terminal state of jobs, their terminal events and the webhook deliveries, and takes their open steps off the
 * books. The caller's transaction holds the rows of the jobs. A job that has ended already is left out of the answer: the
 * first ending stands.
 */
export async function finishJobs(
  transaction: Queryable,
  endings: ReadonlyMap<string, Ending>,
): Promise<Map<string, FinishedJob>> {
  if (endings.size === 0) return new Map();
  // Two defences at once: the condition, and the trigger behind it.
  const rewrite = hasDefect('rewrite-terminal');
  if (rewrite) await transaction.query('SET LOCAL session_replication_role = replica');
  const finish = rewrite ? FINISH.replace('AND jobs.finished_at IS NULL', '') : FINISH;
  const jobs = await transaction.query<FinishedRow>(finish, [JSON.stringify([...endings].map(toRow))]);
  const dropped = await transaction.query<{ job_id: string }>(CANCEL_OPEN_STEPS, [jobs.map((job) => job.id)]);
  const ended = jobs.map((job) => ({ job, ending: endingOf(endings, job.id) }));
  const events = await appendEvents(
    transaction,
    ended
      .map(({ job, ending }) => ({
        jobId: job.id,
        type: `job.${ending.status}` as const,
        data: ending.error === null ? {} : { error: ending.error },
      }))
      .slice(hasDefect('drop-terminal-event') ? ended.length : 0),
  );
  for (const { job } of ended) crashPoint('finish.before-deliveries', job.id);
  const deliveries = await insertDeliveries(
    transaction,
    ended.map(({ job, ending }) => ({
      tenantId: job.tenant_id,
      jobId: job.id,
      eventId: createId('event'),
      eventType: `job.${ending.status}` as const,
      webhook: job.webhook,
    })),
  );
  for (const { job } of ended) crashPoint('finish.after-deliveries', job.id);
  return new Map(
    ended.map(({ job, ending }, index) => [
      job.id,
      {
        type: job.type,
        status: ending.status,
        seconds: job.seconds,
        droppedSteps: dropped.filter((step) => step.job_id === job.id).length,
        events: events.filter((event) => event.jobId === job.id),
        deliveryIds: deliveries[index] ?? [],
      },
    ]),
  );
}

/** {@link finishJobs} for one job; null when it has ended already. */
export async function finishJob(
  transaction: Queryable,
  jobId: string,
  ending: Ending,
): Promise<FinishedJob | null> {
  return (await finishJobs(transaction, new Map([[jobId, ending]]))).get(jobId) ?? null;
}

interface FinishedRow {
  id: string;
  tenant_id: string;
  webhook: unknown;
  type: string;
  seconds: number;
}

function toRow([jobId, ending]: [string, Ending]) {
  return {
    job_id: jobId,
    status: ending.status,
    output: ending.output === null ? null : JSON.stringify(ending.output),
    error: ending.error === null ? null : JSON.stringify(ending.error),
  };
}

function endingOf(endings: ReadonlyMap<string, Ending>, jobId: string): Ending {
  const ending = endings.get(jobId);
  if (!ending) throw new Error(`the job ${jobId} was finished without being asked for`);
  return ending;
}
