import type { Queryable } from '../database.ts';
import type { Overdue } from './find-overdue.ts';

/** 10 s, 40 s, 160 s, then every 5 minutes: a long queue is not put on the transport again and again. */
const NEXT = `now() + least(interval '10 seconds' * power(4, least(wake_count, 5)), interval '5 minutes')`;

// What somebody has locked at the moment is being worked on: it is left as it is, and nobody waits for anybody.

const JOBS = `
UPDATE jobs SET wake_at = least(${NEXT}, CASE WHEN deadline_at > now() THEN deadline_at END), wake_count = wake_count + 1
WHERE id IN (
  SELECT id FROM jobs WHERE id = ANY ($1) AND finished_at IS NULL AND wake_at < now() FOR NO KEY UPDATE SKIP LOCKED)`;

/** A step that is held stays overdue until somebody takes it over: its `wake_at` is the lease of a holder who is probably dead. */
const STEPS = `
WITH overdue AS (
  SELECT s.job_id, s.key FROM steps s JOIN unnest($1::text[], $2::text[]) AS w (job_id, key) USING (job_id, key)
  WHERE s.wake_at < now() AND s.status = 'pending' FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE steps s SET wake_count = wake_count + 1, wake_at = greatest(${NEXT}, not_before)
FROM overdue o WHERE s.job_id = o.job_id AND s.key = o.key`;

const DELIVERIES = `
UPDATE webhook_deliveries SET wake_at = greatest(${NEXT}, not_before), wake_count = wake_count + 1
WHERE id IN (
  SELECT id FROM webhook_deliveries WHERE id = ANY ($1) AND status = 'pending' AND wake_at < now()
  FOR NO KEY UPDATE SKIP LOCKED)`;

/** Says that the overdue rows have been put on the queues: they become overdue again later, with a growing distance. */
export async function postponeOverdue(database: Queryable, overdue: Overdue): Promise<void> {
  if (overdue.jobs.length > 0) await database.query(JOBS, [overdue.jobs.map((job) => job.jobId)]);
  const waiting = overdue.steps.filter((step) => step.isPending);
  if (waiting.length > 0) {
    await database.query(STEPS, [waiting.map((step) => step.jobId), waiting.map((step) => step.key)]);
  }
  if (overdue.deliveries.length > 0) {
    await database.query(DELIVERIES, [overdue.deliveries.map((delivery) => delivery.deliveryId)]);
  }
}
