import { execFileSync } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { endProcess } from '../processes/end-process.ts';
import { identifyProcess } from '../processes/process-identity.ts';

/**
 * Stops a PostgreSQL that still runs on this cluster although its owner is gone, so that the new owner can start
 * its own. A `postmaster.pid` whose process is gone is PostgreSQL's own business: it takes the file over.
 */
export async function stopOrphanedServer(
  clusterDirectory: string,
  log: (line: string) => void,
): Promise<void> {
  let lines: string[];
  try {
    lines = (await readFile(join(clusterDirectory, 'postmaster.pid'), 'utf8')).split('\n');
  } catch {
    return;
  }
  // Line 1 is the id, line 2 the data directory (PostgreSQL: src/include/utils/pidfile.h).
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1) return;
  const identity = identifyProcess(pid);
  if (identity === null || !(await isServerOf(pid, clusterDirectory))) return;
  log(`stopping PostgreSQL process ${pid}, which an earlier run left behind`);
  await endProcess(identity, ['SIGINT', 'SIGQUIT'], 10_000);
}

/** After a reboot the id may belong to anything; PostgreSQL works in its data directory, which tells. */
async function isServerOf(pid: number, clusterDirectory: string): Promise<boolean> {
  try {
    if (process.platform !== 'linux') {
      const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
      return command.includes(clusterDirectory);
    }
    return (await readlink(`/proc/${pid}/cwd`)) === resolve(clusterDirectory);
  } catch {
    return false;
  }
}
