import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The address of the PostgreSQL that a local stack runs in a data directory: its password is kept beside the cluster, its port is the
 * fourth line of `postmaster.pid` (PostgreSQL's own file, there while it runs). Null when none runs there.
 */
export async function findLocalDatabaseUrl(dataDirectory: string): Promise<string | null> {
  const directory = join(dataDirectory, 'postgres');
  try {
    const password = (await readFile(join(directory, 'password'), 'utf8')).trim();
    const port = (await readFile(join(directory, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[3];
    return port === undefined ? null : `postgres://millrace:${password}@127.0.0.1:${port}/millrace`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
