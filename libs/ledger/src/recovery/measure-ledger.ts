import type { JobStatus } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { measureOverdue } from './measure-overdue.ts';

/** What the ledger's gauges show. */
export interface LedgerReadings {
  openJobs: { status: JobStatus; count: number }[];
  openSteps: { pool: string; status: string; priority: string; count: number; oldestAgeSeconds: number }[];
  pendingDeliveries: number;
  /** How long the longest overdue row has been overdue: grows when nobody reconciles. */
  longestOverdueSeconds: number;
}

const JOBS = `SELECT status, count(*)::int AS count FROM jobs WHERE finished_at IS NULL GROUP BY status`;
const STEPS = `
SELECT pool, status, priority, count(*)::int AS count,
  extract(epoch FROM now() - min(created_at))::float8 AS "oldestAgeSeconds"
FROM steps WHERE wake_at IS NOT NULL OR status IN ('collected', 'held') GROUP BY pool, status, priority`;
const DELIVERIES = `
SELECT count(*)::int AS pending FROM webhook_deliveries WHERE status = 'pending' AND wake_at IS NOT NULL`;

/** Reads the gauges: four statements, of which three are aggregates, meant for a scrape every few seconds. */
export async function measureLedger(database: Queryable): Promise<LedgerReadings> {
  const [deliveries] = await database.query<{ pending: number }>(DELIVERIES);
  return {
    openJobs: await database.query(JOBS),
    openSteps: await database.query(STEPS),
    pendingDeliveries: deliveries?.pending ?? 0,
    longestOverdueSeconds: await measureOverdue(database),
  };
}
