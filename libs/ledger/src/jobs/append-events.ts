import type { JobEvent, LifecycleEventType } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

/** A lifecycle event that is about to get its number. */
export interface NewEvent {
  jobId: string;
  type: LifecycleEventType;
  data: Record<string, unknown>;
}

/** An event that the ledger holds, with the job it belongs to. */
export interface StoredEvent extends JobEvent {
  jobId: string;
}

const APPEND = `
WITH incoming AS (
  SELECT position, job_id, type, data FROM json_to_recordset($1) AS j (position int, job_id text, type text, data text)
), counted AS (
  SELECT job_id, count(*)::int AS added FROM incoming GROUP BY job_id
), numbered AS (
  UPDATE jobs SET last_sequence = last_sequence + counted.added FROM counted
  WHERE jobs.id = counted.job_id RETURNING jobs.id, jobs.last_sequence - counted.added AS before
)
INSERT INTO job_events (job_id, sequence, type, data)
SELECT i.job_id, n.before + row_number() OVER (PARTITION BY i.job_id ORDER BY i.position), i.type, i.data::json
FROM incoming i JOIN numbered n ON n.id = i.job_id
RETURNING job_id, sequence, type, at, data`;

/**
 * Gives events the next numbers of their jobs, without gaps, in the order of the list, and stores them. The caller's
 * transaction must hold the job rows (or touch one job only): the numbers follow the order of commits because the row
 * of the job is locked until then.
 */
export async function appendEvents(
  transaction: Queryable,
  events: readonly NewEvent[],
): Promise<StoredEvent[]> {
  if (events.length === 0) return [];
  const rows = await transaction.query<{
    job_id: string;
    sequence: number;
    type: LifecycleEventType;
    at: number;
    data: Record<string, unknown>;
  }>(APPEND, [
    JSON.stringify(
      events.map((event, position) => ({
        position,
        job_id: event.jobId,
        type: event.type,
        data: JSON.stringify(event.data),
      })),
    ),
  ]);
  return rows
    .map((row) => ({ jobId: row.job_id, sequence: row.sequence, type: row.type, at: row.at, data: row.data }))
    .sort((a, b) => (a.jobId === b.jobId ? a.sequence - b.sequence : a.jobId < b.jobId ? -1 : 1));
}
