import { randomBytes } from 'node:crypto';
import { migrate as migrateLedger } from '@millrace/ledger';
import { inject } from 'vitest';
import { administerDatabase, databaseUrlFor } from './administer-database.ts';
import { waitFor } from './wait-for.ts';

/** A database for one test file. */
export interface TestDatabase {
  /** `postgres://` address. */
  url: string;
  /**
   * Removes the database. Rejects, after removing it, if a connection is still open: then something in the test was
   * not stopped.
   */
  drop(): Promise<void>;
}

/** Any number, the same in every test process: it serialises the making of templates. */
const templateLock = 7_261_531;

/**
 * Makes a fresh, migrated database. The migrations run once for each test run: into a template, of which
 * every further database is a copy (some 30 ms).
 *
 * `migrate` brings an empty database to the schema that the test wants; without it that is the ledger's. `template`
 * names its result, and is needed with another schema than the ledger's.
 */
export async function createTestDatabase(
  request: { migrate?: (databaseUrl: string) => Promise<void>; template?: string } = {},
): Promise<TestDatabase> {
  const serverUrl = inject('testDatabaseUrl');
  const prefix = `millrace_${inject('testRunId')}`;
  const template = `${prefix}_template_${request.template ?? 'ledger'}`;
  const name = `${prefix}_${randomBytes(6).toString('hex')}`;

  await makeTemplate(serverUrl, template, request.migrate ?? ((url) => migrateLedger(url)));
  await administerDatabase(serverUrl, (client) =>
    client.query(`CREATE DATABASE "${name}" TEMPLATE "${template}"`),
  );
  return { url: databaseUrlFor(serverUrl, name), drop: () => dropDatabase(serverUrl, name) };
}

async function makeTemplate(
  serverUrl: string,
  template: string,
  migrate: (databaseUrl: string) => Promise<void>,
): Promise<void> {
  await administerDatabase(serverUrl, async (client) => {
    // Held until the connection closes: the other test processes wait for the one that migrates.
    await client.query('SELECT pg_advisory_lock($1)', [templateLock]);
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 1) return;
    const unfinished = `${template}_unfinished`;
    await client.query(`DROP DATABASE IF EXISTS "${unfinished}" WITH (FORCE)`);
    await client.query(`CREATE DATABASE "${unfinished}" TEMPLATE template0`);
    await migrate(databaseUrlFor(serverUrl, unfinished));
    // Nobody may connect to a template while it is copied. Renaming fails if `migrate` left a connection open.
    await noConnectionsTo(client, unfinished);
    await client.query(`ALTER DATABASE "${unfinished}" RENAME TO "${template}"`);
    await client.query(`ALTER DATABASE "${template}" ALLOW_CONNECTIONS false`);
  });
}

async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await administerDatabase(serverUrl, async (client) => {
    try {
      await noConnectionsTo(client, name);
    } finally {
      await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
    }
  });
}

interface Queryable {
  query<Row extends Record<string, unknown>>(sql: string, values: unknown[]): Promise<{ rows: Row[] }>;
}

/** A closed connection's backend takes a moment to leave, a long one where the machine gives it no time. */
async function noConnectionsTo(client: Queryable, name: string): Promise<void> {
  const timeoutMs = await patienceMs(client, name);
  let left: string[] = [];
  const isFree = async (): Promise<boolean> => {
    const { rows } = await client.query<{ connection: string }>(
      `SELECT coalesce(nullif(application_name, ''), 'no name') || ': ' || left(query, 100) AS connection
         FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
      [name],
    );
    left = rows.map((row) => row.connection);
    return left.length === 0;
  };
  await waitFor(isFree, {
    timeoutMs,
    what: () => `all connections to the test database to close; still open: ${left.join('; ')}`,
  });
}

/**
 * How long connections may take to leave. A pool closes by itself what has idled for ten seconds, also one that nobody stopped:
 * whoever waits until then takes it for stopped.
 */
async function patienceMs(client: Queryable, name: string): Promise<number> {
  const { rows } = await client.query<{ idleMs: number }>(
    `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - state_change)) * 1000, 0)::float8 AS "idleMs"
       FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
    [name],
  );
  return Math.max(2_000, 9_000 - rows[0]!.idleMs);
}
