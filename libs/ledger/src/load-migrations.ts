import { readFile } from 'node:fs/promises';
import type { RunnerOption } from 'node-pg-migrate';

type Loader = Exclude<
  NonNullable<RunnerOption['migrationLoaderStrategies']>[number]['loader'],
  string | undefined
>;

/** A file with this comment holds statements that cannot run in a transaction, each ended by a semicolon at the end of its line. */
const NO_TRANSACTION = /^--\s*No transaction\b/im;

/**
 * Reads migrations so that each is a transaction that waits for `lockWaitMs` at most for a lock: whoever waits for a table makes
 * everybody behind it wait too. Those with the comment `-- No transaction` run statement by statement, and wait as long as it takes:
 * an index that is built concurrently holds nobody up.
 */
export function createMigrationLoader(lockWaitMs: number): Loader {
  return async (paths) =>
    Promise.all(
      paths.map(async (path) => {
        const sql = await readFile(path, 'utf8');
        return { id: path, filePaths: [path], actions: { up: toAction(sql, lockWaitMs), down: false } };
      }),
    );
}

function toAction(sql: string, lockWaitMs: number) {
  return (migration: { noTransaction(): unknown; sql(text: string): unknown }): void => {
    if (!NO_TRANSACTION.test(sql)) {
      migration.sql(`SET LOCAL lock_timeout = ${lockWaitMs};`);
      migration.sql(sql);
      return;
    }
    migration.noTransaction();
    // Several in one query would be one transaction again.
    for (const statement of sql.split(/;[ \t]*$/m))
      if (statement.trim() !== '') migration.sql(`${statement};`);
  };
}
