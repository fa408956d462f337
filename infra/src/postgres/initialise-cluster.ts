import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { ServerUser } from './server-user.ts';

/** The superuser and the database of the embedded server. */
export const embeddedRole = 'millrace';

/** The environment of PostgreSQL's programs: messages in English, since the start is recognised by its message. */
export const postgresEnvironment = { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' };

/**
 * Creates the cluster and its database if they are not there yet, and answers where they are and the password.
 * Works beside the final folder and renames, so that a kill in the middle leaves nothing that looks initialised.
 */
export async function initialiseCluster(request: {
  dataDirectory: string;
  binaries: PostgresBinaries;
  user: ServerUser;
  log: (line: string) => void;
}): Promise<{ clusterDirectory: string; password: string }> {
  const clusterDirectory = join(request.dataDirectory, 'cluster');
  const password = await keepPassword(request.dataDirectory);
  if (existsSync(join(clusterDirectory, 'PG_VERSION'))) return { clusterDirectory, password };

  const unfinished = join(request.dataDirectory, 'cluster.unfinished');
  const passwordFile = join(request.dataDirectory, 'password.initdb');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  const { userId, groupId } = ownerOf(request.user);
  if (userId !== undefined && groupId !== undefined) {
    await chown(unfinished, userId, groupId);
    await chown(passwordFile, userId, groupId);
  }
  try {
    await run(request, request.binaries.initdb, [
      `--pgdata=${unfinished}`,
      `--username=${embeddedRole}`,
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      // The same order and case rules on every machine, whatever locales it has (PostgreSQL 17 and later).
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ]);
    await run(
      request,
      request.binaries.postgres,
      ['--single', '-D', unfinished, 'postgres'],
      `CREATE DATABASE ${embeddedRole} OWNER ${embeddedRole};\n`,
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, clusterDirectory);
  return { clusterDirectory, password };
}

async function keepPassword(dataDirectory: string): Promise<string> {
  const file = join(dataDirectory, 'password');
  if (existsSync(file)) return (await readFile(file, 'utf8')).trim();
  const password = randomBytes(24).toString('base64url');
  await writeFile(`${file}.unfinished`, `${password}\n`, { mode: 0o600 });
  await rename(`${file}.unfinished`, file);
  return password;
}

/** Who must own the cluster: with `setpriv` the ids stand in the prefix. */
function ownerOf(user: ServerUser): { userId?: number; groupId?: number } {
  if (user.prefix.length === 0) return user;
  const idIn = (option: string): number =>
    Number(user.prefix.find((part) => part.startsWith(option))?.slice(option.length));
  return { userId: idIn('--reuid='), groupId: idIn('--regid=') };
}

async function run(
  { user, log }: { user: ServerUser; log: (line: string) => void },
  program: string,
  programArguments: readonly string[],
  input = '',
): Promise<void> {
  const { prefix } = user;
  const child = spawn(
    prefix[0] ?? program,
    [...prefix.slice(1), ...(prefix.length > 0 ? [program] : []), ...programArguments],
    {
      cwd: '/',
      env: postgresEnvironment,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(user.userId === undefined ? {} : { uid: user.userId }),
      ...(user.groupId === undefined ? {} : { gid: user.groupId }),
    },
  );
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString('utf8');
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${program} failed with exit code ${code}:\n${output}`);
  for (const line of output.split('\n').filter(Boolean)) log(line);
}
