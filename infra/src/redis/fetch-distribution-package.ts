import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAptConfiguration } from './apt-configuration.ts';
import { runProgram } from './run-program.ts';

/** A Redis server unpacked into the cache, and the environment in which it finds its libraries. */
interface UnpackedRedis {
  command: string;
  environment: { LD_LIBRARY_PATH: string };
}

const downloadTimeoutMs = 120_000;
/** Packages in which a server arrives, and the program in each; in order of preference. */
const candidates = [
  { packageName: 'redis-server', program: 'usr/bin/redis-server' },
  { packageName: 'valkey-server', program: 'usr/bin/valkey-server' },
] as const;

/** True where `fetchDistributionPackage` can work: Debian, Ubuntu and what descends from them. */
export function hasDistributionPackages(): boolean {
  return process.platform === 'linux' && existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg-deb');
}

/**
 * Unpacks the distribution's own Redis package, and the libraries that this system lacks for it, into the cache:
 * without root, without installing, once per release of the distribution. Several processes may do it at once: each
 * works in a folder of its own, and the first that is done gives the result its name. Rejects with apt's words.
 */
export async function fetchDistributionPackage(cache: string): Promise<UnpackedRedis> {
  const release = await readRelease();
  const home = join(cache, 'redis', `${release.id}-${release.version}-${process.arch}`);
  const cached = await findServer(home);
  if (cached !== null) return cached;

  await mkdir(join(cache, 'redis'), { recursive: true });
  // apt splits its paths at spaces, and wants them without symbolic links.
  const work = await mkdtemp(join(await realpath(join(cache, 'redis')), 'unfinished-'));
  try {
    const archives = await download(work, release.codename);
    const root = join(work, 'root');
    await mkdir(root);
    for (const archive of archives) {
      await runProgram('dpkg-deb', ['-x', archive, root], {
        environment: process.env,
        timeoutMs: downloadTimeoutMs,
      });
    }
    const unpacked = await findServer(root);
    if (unpacked === null) throw new Error('the package holds no server program');
    // A library may be missing; better to hear of it before the folder gets its name.
    await runProgram(unpacked.command, ['--version'], {
      environment: { ...process.env, ...unpacked.environment },
      timeoutMs: 10_000,
    });
    await renameUnlessThere(root, home);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const fetched = await findServer(home);
  if (fetched === null) throw new Error(`${home} was removed while it was made`);
  return fetched;
}

/** Downloads with the lists that the system has, or, if it has none or old ones, with lists of our own. */
async function download(work: string, releaseCodename: string): Promise<string[]> {
  const failures: unknown[] = [];
  for (const ownLists of [false, true]) {
    const directory = join(work, ownLists ? 'own-lists' : 'system-lists');
    await mkdir(directory);
    const configuration = await writeAptConfiguration(directory, { ownLists, releaseCodename });
    const environment = { ...process.env, ...configuration, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
    const run = async (...aptArguments: string[]): Promise<string> =>
      runProgram('apt-get', aptArguments, {
        environment,
        workingDirectory: work,
        timeoutMs: downloadTimeoutMs,
      });
    // One of several sources may fail and the others suffice, so only the download decides.
    if (ownLists) await run('update').catch((error: unknown) => failures.push(error));
    for (const { packageName } of candidates) {
      try {
        // Not `apt-get download`: `install` knows which libraries this system lacks.
        await run('install', '--yes', '--download-only', '--no-install-recommends', packageName);
        const archives = join(directory, 'archives');
        const names = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
        if (names.length > 0) return names.map((name) => join(archives, name));
      } catch (error) {
        failures.push(error);
      }
    }
  }
  throw new AggregateError(failures, complaintsOf(failures));
}

/** apt's own lines ("E: Unable to locate package …"), each once. */
function complaintsOf(failures: readonly unknown[]): string {
  const lines = failures.flatMap((failure) => String(failure).split('\n'));
  const complaints = lines.filter((line) => /^[EW]: /.test(line));
  return [...new Set(complaints.length > 0 ? complaints : lines)].join('\n');
}

async function findServer(root: string): Promise<UnpackedRedis | null> {
  const found = candidates.map(({ program }) => join(root, program)).find((path) => existsSync(path));
  if (found === undefined) return null;
  const folders = ['usr/lib', 'lib']
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder));
  const libraries: string[] = [];
  for (const folder of folders) {
    libraries.push(folder);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) libraries.push(join(folder, entry.name));
    }
  }
  return { command: found, environment: { LD_LIBRARY_PATH: libraries.join(':') } };
}

async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** os-release(5): what this system is. */
async function readRelease(): Promise<{ id: string; version: string; codename: string }> {
  const text = await readFile('/etc/os-release', 'utf8');
  const read = (name: string): string =>
    new RegExp(`^${name}=["']?([^"'\n]*)`, 'm').exec(text)?.[1]?.replaceAll(/[^\w.-]/g, '') ?? '';
  const codename = read('VERSION_CODENAME');
  return { id: read('ID') || 'linux', version: read('VERSION_ID') || codename || 'unknown', codename };
}
