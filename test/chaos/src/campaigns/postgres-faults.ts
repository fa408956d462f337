import { openDatabase } from '@millrace/ledger';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { downAtStart, frozen, signalled } from './store-fault.ts';
import type { StoreFault } from './store-fault.ts';

const EXHAUSTED_S = 10;

/** What befalls PostgreSQL. */
export const postgresFaults: readonly StoreFault[] = [
  signalled('postgres', 'kill', 'SIGKILL'),
  signalled('postgres', 'restart', 'SIGINT'),
  frozen('postgres', 20_000),
  frozen('postgres', 60_000),
  downAtStart('postgres'),
  {
    kind: 'postgres.terminate-backends',
    target: 'postgres',
    lastsMs: 1_000,
    inject: (stack) =>
      withDatabase(stack, 1, async (query) => {
        const [row] = await query<{ count: number }>(
          `SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
           WHERE pid <> pg_backend_pid() AND application_name LIKE 'millrace-%'`,
        );
        return (row?.count ?? 0) > 0;
      }),
  },
  {
    kind: 'postgres.connections-exhausted',
    target: 'postgres',
    lastsMs: EXHAUSTED_S * 1_000,
    inject: (stack) =>
      withDatabase(stack, 240, async (query) => {
        const [limit] = await query<{ most: number }>(
          `SELECT setting::int AS most FROM pg_settings WHERE name = 'max_connections'`,
        );
        const sleepers = Array.from({ length: (limit?.most ?? 200) + 20 }, () =>
          query(`SELECT pg_sleep(${EXHAUSTED_S})`).then(
            () => true,
            () => false,
          ),
        );
        // Its own connections go; whoever comes back finds no place.
        for (let round = 0; round < 4; round += 1) {
          await new Promise((resolve) => setTimeout(resolve, 1_000));
          await query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND application_name LIKE 'millrace-%'`,
          ).catch(() => undefined);
        }
        const slept = (await Promise.all(sleepers)).filter(Boolean).length;
        return slept > (limit?.most ?? 200) / 2;
      }),
  },
];

type Query = <Row extends Record<string, unknown>>(sql: string) => Promise<Row[]>;

async function withDatabase(
  stack: ChaosStack,
  maxConnections: number,
  work: (query: Query) => Promise<boolean>,
): Promise<boolean> {
  const database = openDatabase({
    url: stack.databaseUrl,
    maxConnections,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 60_000,
    applicationName: 'chaos',
  });
  try {
    return await work((sql) => database.query(sql, []));
  } finally {
    await database.close();
  }
}
