import type { Charge, Priority } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { CHARGE } from '../steps/charge-of-step.ts';

/** Rows whose `wake_at` has passed: nobody touched them in time, so their wakes are put on the queues again. */
export interface Overdue {
  /** `tenantId` of jobs that nobody has begun; null for the others. */
  jobs: { jobId: string; priority: Priority; tenantId: string | null }[];
  steps: {
    jobId: string;
    key: string;
    pool: string;
    target: string;
    fence: number;
    priority: Priority;
    delayMs: number;
    isPending: boolean;
    /** Null for a step that was handed out before: it has paid for its place. */
    charge: Charge | null;
  }[];
  deliveries: { deliveryId: string; fence: number; delayMs: number }[];
}

const JOBS = `
SELECT id AS "jobId", priority, CASE WHEN status = 'queued' THEN tenant_id END AS "tenantId" FROM jobs
WHERE wake_at < now() AND finished_at IS NULL ORDER BY wake_at LIMIT $1`;

const STEPS = `
SELECT job_id AS "jobId", key, pool, target, fence, priority,
  greatest(0, extract(epoch FROM not_before - now()) * 1000)::float8 AS "delayMs", true AS "isPending",
  -- One that has come from another pool counts its attempts anew, and pays here.
  CASE WHEN fence = 0 OR target_attempts = 0 AND repairs = 0 THEN ${CHARGE} END AS charge
FROM steps s WHERE wake_at < now() AND status = 'pending' ORDER BY wake_at LIMIT $1`;

/**
 * Steps whose holders are probably dead. Their `wake_at` is the lease, so it cannot be postponed: they stay overdue until
 * somebody takes them over, and are looked for apart, so that they do not stand in the way of the others.
 */
const HELD_STEPS = `
SELECT job_id AS "jobId", key, pool, target, fence, priority, 0::float8 AS "delayMs", false AS "isPending", NULL AS charge
FROM steps WHERE wake_at < now() AND status IN ('claimed', 'sent') ORDER BY wake_at LIMIT $1`;

const DELIVERIES = `
SELECT id AS "deliveryId", fence, greatest(0, extract(epoch FROM not_before - now()) * 1000)::float8 AS "delayMs"
FROM webhook_deliveries WHERE wake_at < now() AND status = 'pending' ORDER BY wake_at LIMIT $1`;

/** At most `limit` overdue rows of each kind (steps: of those that wait and of those that are held), the longest overdue first. */
export async function findOverdue(database: Queryable, limit: number): Promise<Overdue> {
  return {
    jobs: await database.query(JOBS, [limit]),
    steps: [
      ...(await database.query<Overdue['steps'][number]>(STEPS, [limit])),
      ...(await database.query<Overdue['steps'][number]>(HELD_STEPS, [limit])),
    ],
    deliveries: await database.query(DELIVERIES, [limit]),
  };
}
