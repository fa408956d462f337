import type { Priority } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

/** The open steps of one class in one pool. */
export interface BacklogReading {
  pool: string;
  priority: Priority;
  /** Steps that wait for a worker, and of these those that are not put off. */
  waiting: number;
  due: number;
  /** Steps that a worker holds. */
  running: number;
  /** When those that wait were wanted, in ms since 1970: the first, each further tenth, the last; empty when none waits. */
  arrivals: number[];
}

const MEASURE = `
SELECT pool, priority,
  count(*) FILTER (WHERE status = 'pending')::int AS waiting,
  count(*) FILTER (WHERE status = 'pending' AND not_before <= now() + interval '1 second')::int AS due,
  count(*) FILTER (WHERE status IN ('claimed', 'sent'))::int AS running,
  coalesce(percentile_disc(ARRAY[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]::float8[])
    WITHIN GROUP (ORDER BY extract(epoch FROM created_at)::float8 * 1000) FILTER (WHERE status = 'pending'),
    '{}') AS arrivals
FROM steps WHERE wake_at IS NOT NULL GROUP BY pool, priority`;

/** Counts what waits and runs, by pool and class. One aggregate over the open steps, meant for once in a second or two. */
export async function measureBacklog(database: Queryable): Promise<BacklogReading[]> {
  return database.query<BacklogReading>(MEASURE);
}
