import { readSettings } from '@millrace/config';
import { openDatabase } from '@millrace/ledger';
import { readKeysCommand } from './keys-command.ts';
import { findLocalDatabaseUrl } from './local-database-url.ts';
import { runKeysCommand } from './run-keys-command.ts';
import { usage } from './usage.ts';

/** `npm run keys -- …`. Exit codes are those of sysexits: 64 for a wrong command, 69 without a database, 1 for a failure. */
const command = readKeysCommand(process.argv.slice(2));
if (command.action === 'help') {
  const wrong = command.problem !== null;
  (wrong ? process.stderr : process.stdout).write(`${wrong ? `${command.problem}\n\n` : ''}${usage}`);
  process.exit(wrong ? 64 : 0);
}
const { values } = readSettings();
const dataDirectory = String(values.MILLRACE_DATA_DIR);
const url =
  typeof values.DATABASE_URL === 'string' ? values.DATABASE_URL : await findLocalDatabaseUrl(dataDirectory);
if (url === null) {
  process.stderr.write(
    `There is no database: set DATABASE_URL, or start the local stack (npm start); looked into ${dataDirectory}.\n`,
  );
  process.exit(69);
}
const database = openDatabase({
  url,
  maxConnections: 1,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 10_000,
  applicationName: 'millrace-keys',
});
try {
  const { lines, note, found } = await runKeysCommand(database, command);
  if (note !== undefined) process.stderr.write(`${note}\n`);
  (found ? process.stdout : process.stderr).write(`${lines.join('\n')}\n`);
  process.exitCode = found ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await database.close();
}
