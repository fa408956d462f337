import type { JobEvent, LifecycleEventType } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

const FIND = `
SELECT sequence, type, at, data FROM job_events WHERE job_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`;

/** A job's lifecycle events after a number, in order, at most `limit`. */
export async function findEvents(
  database: Queryable,
  jobId: string,
  afterSequence: number,
  limit: number,
): Promise<JobEvent[]> {
  return database.query<{
    sequence: number;
    type: LifecycleEventType;
    at: number;
    data: Record<string, unknown>;
  }>(FIND, [jobId, afterSequence, limit]);
}
