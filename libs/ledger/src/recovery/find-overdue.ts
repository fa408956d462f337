import type { Priority } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

/** Rows whose `wake_at` has passed: nobody touched them in time, so their wakes are put on the queues again. */
export interface Overdue {
  jobs: { jobId: string; priority: Priority; wakeCount: number }[];
  steps: {
    jobId: string;
    key: string;
    pool: string;
    fence: number;
    wakeCount: number;
    priority: Priority;
    delayMs: number;
    isPending: boolean;
  }[];
  deliveries: { deliveryId: string; fence: number; wakeCount: number; delayMs: number }[];
}

const JOBS = `
SELECT id AS "jobId", priority, wake_count AS "wakeCount" FROM jobs
WHERE wake_at < now() AND finished_at IS NULL ORDER BY wake_at LIMIT $1`;

const STEPS = `
SELECT job_id AS "jobId", key, pool, fence, priority, wake_count AS "wakeCount",
  greatest(0, extract(epoch FROM not_before - now()) * 1000)::float8 AS "delayMs",
  status = 'pending' AS "isPending"
FROM steps WHERE wake_at < now() AND status IN ('pending', 'claimed', 'sent') ORDER BY wake_at LIMIT $1`;

const DELIVERIES = `
SELECT id AS "deliveryId", fence, wake_count AS "wakeCount", greatest(0, extract(epoch FROM not_before - now()) * 1000)::float8 AS "delayMs"
FROM webhook_deliveries WHERE wake_at < now() AND status = 'pending' ORDER BY wake_at LIMIT $1`;

/** At most `limit` overdue rows of each kind, the longest overdue first. */
export async function findOverdue(database: Queryable, limit: number): Promise<Overdue> {
  return {
    jobs: await database.query(JOBS, [limit]),
    steps: await database.query(STEPS, [limit]),
    deliveries: await database.query(DELIVERIES, [limit]),
  };
}
