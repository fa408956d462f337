import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { createMigrationLoader } from './load-migrations.ts';

/** How patient a migration is, in ms. */
export interface MigrationPatience {
  /** A migration waits so long for a table; then everybody behind it goes first, and it tries again. */
  lockWaitMs: number;
  pauseMs: number;
  /** Then it gives up. */
  tryForMs: number;
}

const USUAL: MigrationPatience = { lockWaitMs: 2_000, pauseMs: 3_000, tryForMs: 600_000 };
const TURN_MS = 250;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Brings the ledger's schema up to date, forward only. Safe to call from many processes at once: they wait for each
 * other on an advisory lock. `report` gets one line per migration that ran, and one whenever it makes way. What ran stays when a
 * later one fails. Throws what PostgreSQL throws.
 */
export async function migrate(
  databaseUrl: string,
  report: (line: string) => void = () => {},
  patience: MigrationPatience = USUAL,
): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'millrace-migrate' });
  // The query under way tells of it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await takeTurn(client);
    const endsAt = performance.now() + patience.tryForMs;
    while (!(await tryToRun(client, report, patience, endsAt))) {
      report(`a table is in use; trying again in ${patience.pauseMs} ms`);
      await pause(patience.pauseMs);
    }
  } finally {
    await client.end();
  }
}

/** Asks again and again: whoever waits inside of a statement holds a snapshot, and an index that is built concurrently waits for it. */
async function takeTurn(client: Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
      PG_MIGRATE_LOCK_ID,
    ]);
    if (rows[0]?.taken === true) return;
    await pause(TURN_MS);
  }
}

/** Runs what is missing; false when a table was in use for too long. */
async function tryToRun(
  client: Client,
  report: (line: string) => void,
  { lockWaitMs }: MigrationPatience,
  endsAt: number,
): Promise<boolean> {
  const before = await appliedMigrations(client);
  try {
    await runner({
      dbClient: client,
      dir: fileURLToPath(new URL('../migrations', import.meta.url)),
      migrationsTable: 'migrations',
      direction: 'up',
      noLock: true,
      checkOrder: true,
      migrationLoaderStrategies: [{ extensions: ['.sql'], loader: createMigrationLoader(lockWaitMs) }],
      log: () => {},
    });
    return true;
  } catch (error) {
    const isLocked = error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE;
    await client.query('ROLLBACK').catch(() => undefined);
    if (!isLocked || performance.now() >= endsAt) throw error;
    return false;
  } finally {
    const after = await appliedMigrations(client).catch(() => []);
    for (const name of after.filter((each) => !before.includes(each))) report(`migration ${name} applied`);
  }
}

async function appliedMigrations(client: Client): Promise<string[]> {
  const { rows: tables } = await client.query<{ found: boolean }>(
    "SELECT to_regclass('migrations') IS NOT NULL AS found",
  );
  if (tables[0]?.found !== true) return [];
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}
