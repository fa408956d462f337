import type { Queryable } from '../database.ts';
import type { Overdue } from './find-overdue.ts';

/** 10 s, 40 s, 160 s, then every 5 minutes: a long queue is not put on the transport again and again. */
const NEXT = `now() + least(interval '10 seconds' * power(4, least(wake_count, 5)), interval '5 minutes')`;

const JOBS = `
UPDATE jobs SET wake_at = least(${NEXT}, CASE WHEN deadline_at > now() THEN deadline_at END), wake_count = wake_count + 1
WHERE id = ANY ($1) AND finished_at IS NULL AND wake_at < now()`;

/** A claimed step stays overdue until somebody takes it over: its `wake_at` is the lease of a holder who is probably dead. */
const STEPS = `
UPDATE steps SET wake_count = wake_count + 1,
  wake_at = CASE WHEN status = 'pending' THEN greatest(${NEXT}, not_before) ELSE wake_at END
FROM unnest($1::text[], $2::text[]) AS w (overdue_job_id, overdue_key)
WHERE job_id = overdue_job_id AND key = overdue_key AND wake_at < now()`;

const DELIVERIES = `
UPDATE webhook_deliveries SET wake_at = greatest(${NEXT}, not_before), wake_count = wake_count + 1
WHERE id = ANY ($1) AND status = 'pending' AND wake_at < now()`;

/** Says that the overdue rows have been put on the queues: they become overdue again later, with a growing distance. */
export async function postponeOverdue(database: Queryable, overdue: Overdue): Promise<void> {
  if (overdue.jobs.length > 0) await database.query(JOBS, [overdue.jobs.map((job) => job.jobId)]);
  if (overdue.steps.length > 0) {
    await database.query(STEPS, [
      overdue.steps.map((step) => step.jobId),
      overdue.steps.map((step) => step.key),
    ]);
  }
  if (overdue.deliveries.length > 0) {
    await database.query(DELIVERIES, [overdue.deliveries.map((delivery) => delivery.deliveryId)]);
  }
}
