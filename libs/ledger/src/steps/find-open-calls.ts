import type { Queryable } from '../database.ts';

/** The open calls of a job in one pool. */
export interface OpenCallsRecord {
  jobId: string;
  pool: string;
  /** Calls that wait for a worker. */
  waiting: number;
  /** When the first of them was wanted, in ms since 1970; null when none waits. */
  firstAt: number | null;
}

const FIND = `
SELECT job_id AS "jobId", pool, count(*) FILTER (WHERE status = 'pending')::int AS waiting,
  extract(epoch FROM min(created_at) FILTER (WHERE status = 'pending'))::float8 * 1000 AS "firstAt"
FROM steps WHERE job_id = ANY ($1) AND status IN ('pending', 'claimed', 'sent')
GROUP BY job_id, pool`;

/** The calls of these jobs that wait for a worker or run, by pool; a job without any is not among them. One look at the index of open steps. */
export async function findOpenCalls(
  database: Queryable,
  jobIds: readonly string[],
): Promise<OpenCallsRecord[]> {
  return jobIds.length === 0 ? [] : database.query<OpenCallsRecord>(FIND, [jobIds]);
}
