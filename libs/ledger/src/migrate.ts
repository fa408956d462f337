import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';

/**
 * Brings the ledger's schema up to date, forward only. Safe to call from many processes at once: they wait for each
 * other on an advisory lock. `report` gets one line per migration that ran.
 */
export async function migrate(databaseUrl: string, report: (line: string) => void = () => {}): Promise<void> {
  const ran = await runner({
    databaseUrl,
    dir: fileURLToPath(new URL('../migrations', import.meta.url)),
    migrationsTable: 'migrations',
    direction: 'up',
    advisoryLockMode: 'wait',
    checkOrder: true,
    log: () => {},
  });
  for (const migration of ran) report(`migration ${migration.name} applied`);
}
