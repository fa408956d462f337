import type { Database } from '../database.ts';
import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { BatchRecord } from './batch-row.ts';

/** A job with one line has nothing to tell between none and done. */
const FIND = `
SELECT a.job_id FROM provider_batches b JOIN attempts a ON a.batch_id = b.id AND a.status = 'sent'
WHERE b.id = $1 AND b.counts_completed > 0
GROUP BY a.job_id, b.id
HAVING count(*) > greatest(1, greatest(b.counts_total, b.line_count) - b.counts_completed)
ORDER BY count(*) DESC, a.job_id LIMIT $2`;

/** Whoever works on a job has its progress to tell as well. */
const LOCK_JOBS = `
SELECT id FROM jobs WHERE id = ANY ($1) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`;

/**
 * The vendor tells how many lines it has answered, not which ones: of a job's lines at least as many as there are more of them than
 * unanswered lines in the whole batch. Steps that have left their batch are counted where they are.
 */
const NOTE = `
WITH waiting AS (
  SELECT a.job_id, a.batch_id, count(*)::int AS lines
  FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
  WHERE a.job_id = ANY ($1) AND a.batch_id IS NOT NULL AND a.status = 'sent' AND s.status = 'sent' AND s.fence = a.fence
  GROUP BY a.job_id, a.batch_id
), answered AS (
  SELECT w.job_id, sum(greatest(0, w.lines - (greatest(b.counts_total, b.line_count) - b.counts_completed)))::int AS lines
  FROM waiting w JOIN provider_batches b ON b.id = w.batch_id AND b.status = 'running' AND b.certain AND b.counts_completed > 0
  GROUP BY w.job_id
)
UPDATE jobs SET steps_answered = steps_done + a.lines, progress_at = now() FROM answered a
WHERE jobs.id = a.job_id AND steps_done + a.lines > greatest(steps_answered, steps_done)
RETURNING jobs.id, steps_done, steps_known, steps_answered`;

/**
 * Makes what a vendor has counted in a running batch the progress of the jobs whose lines it holds, at most `limit` of them, those with the most
 * lines first, and tells it as `job.progress`. It never goes back, and never says more than is certain.
 */
export async function noteAnswered(
  database: Database,
  batch: Pick<BatchRecord, 'id'>,
  limit: number,
): Promise<StoredEvent[]> {
  return database.transaction(async (transaction) => {
    const found = await transaction.query<{ job_id: string }>(FIND, [batch.id, limit]);
    if (found.length === 0) return [];
    const held = await transaction.query<{ id: string }>(LOCK_JOBS, [found.map((row) => row.job_id)]);
    const noted = await transaction.query<NotedRow>(NOTE, [held.map((row) => row.id)]);
    return appendEvents(
      transaction,
      noted.map(({ id: jobId, ...data }) => ({ jobId, type: 'job.progress' as const, data: { ...data } })),
    );
  });
}

interface NotedRow {
  id: string;
  steps_done: number;
  steps_known: number;
  steps_answered: number;
}
