import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

/**
 * For tests: a process that starts a server with one of this library's functions and then does nothing, so that a
 * test can kill the owner of a server.
 */
export async function ownInAnotherProcess(
  start: 'startEmbeddedPostgres' | 'startRedisServer',
  request: Record<string, unknown>,
): Promise<{ pid: number; serverPid: number; kill(): void }> {
  const door = join(import.meta.dirname, '../index.ts');
  const program = `
    import { ${start} } from ${JSON.stringify(door)};
    const server = await ${start}({ ...${JSON.stringify(request)}, log: () => undefined });
    console.log(server.pid);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const serverPid = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(Number(line)));
    child.once('exit', () => reject(new Error('the owner ended before its server was up')));
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the owner did not start');
  return { pid, serverPid, kill: () => child.kill('SIGKILL') };
}

/**
 * For tests, on Linux: kills the guard of a server, which is the only process in the server's process group that is
 * not its child. PostgreSQL's children leave the group, but only a moment after they were forked.
 */
export async function killGuardOf(serverPid: number): Promise<void> {
  let killed = 0;
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === serverPid) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const [, parent, processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(processGroup) !== serverPid || Number(parent) === serverPid) continue;
    process.kill(pid, 'SIGKILL');
    killed += 1;
  }
  if (killed !== 1) throw new Error(`expected one guard of process ${serverPid}, killed ${killed}`);
}
