import { cacheDirectory } from './cache-directory.ts';
import { fetchDistributionPackage, hasDistributionPackages } from './fetch-distribution-package.ts';
import { runProgram } from './run-program.ts';

/** A Redis (or Valkey) server program that was tried and runs. */
export interface RedisServerProgram {
  command: string;
  /** What to add to the environment of the server. */
  environment: Record<string, string>;
  source: 'path' | 'distribution package';
  /** For example `7.0.15`. */
  version: string;
}

/** BullMQ 6 refuses servers below 5.0 and advises 6.2. */
const oldestMajorVersion = 6;

/**
 * Finds a server program: `valkey-server` or `redis-server` on the path, else the distribution's package, fetched
 * into the cache. Rejects with a message that names the remedies. (A caller that has REDIS_URL needs none of this.)
 */
export async function resolveRedisServer(
  environment: NodeJS.ProcessEnv = process.env,
  log: (line: string) => void = () => undefined,
): Promise<RedisServerProgram> {
  for (const command of ['valkey-server', 'redis-server']) {
    const version = await probeVersion(command, environment);
    if (version === null) continue;
    if (Number.parseInt(version, 10) >= oldestMajorVersion) {
      return { command, environment: {}, source: 'path', version };
    }
    log(`${command} ${version} on the path is too old (needed: ${oldestMajorVersion}.2 or later)`);
  }
  if (!hasDistributionPackages()) throw new Error(remedies('No Redis server was found.'));
  try {
    const unpacked = await fetchDistributionPackage(cacheDirectory(environment));
    const version = await probeVersion(unpacked.command, { ...environment, ...unpacked.environment });
    if (version === null) throw new Error(`${unpacked.command} does not run`);
    return {
      command: unpacked.command,
      environment: { ...unpacked.environment },
      source: 'distribution package',
      version,
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(remedies(`No Redis server was found, and fetching the package failed:\n${reason}`), {
      cause,
    });
  }
}

async function probeVersion(command: string, environment: NodeJS.ProcessEnv): Promise<string | null> {
  try {
    const output = await runProgram(command, ['--version'], { environment, timeoutMs: 10_000 });
    // "Redis server v=7.0.15 sha=…", "Valkey server v=8.1.1 sha=…"
    return /\bv=(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? null;
  } catch {
    return null;
  }
}

function remedies(problem: string): string {
  return [
    problem,
    'Do one of these and start again:',
    '  brew install valkey                                   (macOS)',
    '  apt install redis-server                              (Debian, Ubuntu)',
    '  docker run -d -p 6379:6379 valkey/valkey:8 valkey-server --appendonly yes --maxmemory-policy noeviction',
    '      and set REDIS_URL=redis://127.0.0.1:6379',
    '  set REDIS_URL to a Redis (6.2 or later) or Valkey that you have',
  ].join('\n');
}
