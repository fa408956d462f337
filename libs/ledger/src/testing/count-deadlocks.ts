import { openDatabase } from '../database.ts';
import type { Database } from '../database.ts';
import { testOptions } from './test-options.ts';

const SESSIONS = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'workload'`;
const DEADLOCKS = `SELECT deadlocks::int AS count FROM pg_stat_database WHERE datname = current_database()`;

/**
 * Runs a workload on a pool of its own and answers how many deadlocks PostgreSQL had to break (the pool does the work of
 * the losers again, so nothing else tells). Sessions report what they counted when they end, so the pool is closed first.
 */
export async function countDeadlocks(
  url: string,
  workload: (database: Database) => Promise<void>,
  maxConnections = 16,
): Promise<number> {
  const observer = openDatabase(testOptions(url, { maxConnections: 1 }));
  // Patient: a machine that has much else to do is no reason to fail.
  const patience = { connectTimeoutMs: 30_000, statementTimeoutMs: 20_000 };
  const database = openDatabase(
    testOptions(url, { ...patience, maxConnections, applicationName: 'workload' }),
  );
  try {
    const before = await count(observer);
    await workload(database).finally(() => database.close());
    while ((await observer.query(SESSIONS)).length > 0);
    return (await count(observer)) - before;
  } finally {
    await observer.close();
  }
}

async function count(database: Database): Promise<number> {
  const [row] = await database.query<{ count: number }>(DEADLOCKS);
  return row?.count ?? 0;
}
