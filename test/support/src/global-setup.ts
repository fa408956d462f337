import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectoryInUseError, ownDirectory, startEmbeddedPostgres, startRedisServer } from '@millrace/infra';
import type { TestProject } from 'vitest/node';
import { dropTestDatabases } from './drop-test-databases.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL for this test run; use `createTestDatabase`. */
    testDatabaseUrl: string;
    /** A Redis for this test run; use `createTestRedis`. */
    testRedisUrl: string;
    /** In the names of everything that this run makes on the servers. */
    testRunId: string;
  }
}

const directoryPrefix = 'millrace-test-';

/**
 * vitest's global set-up: one PostgreSQL and one Redis for the whole run, in a temporary directory and on free
 * ports, or the ones that TEST_DATABASE_URL and TEST_REDIS_URL name. Everything is gone after the run.
 */
export default async function startServersForTests(project: TestProject): Promise<() => Promise<void>> {
  removeLeftovers();
  const directory = mkdtempSync(join(tmpdir(), directoryPrefix));
  const ownership = ownDirectory(directory, 'a test run');
  const running: { pid: number; stop(): Promise<void> }[] = [];
  // vitest ends the process itself on a signal, without calling the teardown below. The servers' guards would stop
  // them then; killing them at once lets the directory go too.
  const removeAtOnce = (): void => {
    for (const { pid } of running) killIfRunning(pid);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  };
  process.once('exit', removeAtOnce);

  // A server that does not start puts its last lines into its error.
  const log = (): void => undefined;
  const databaseUrl = async (): Promise<string> => {
    if (process.env.TEST_DATABASE_URL) return process.env.TEST_DATABASE_URL;
    const postgres = await startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres'), log });
    running.push(postgres);
    return postgres.url;
  };
  const redisUrl = async (): Promise<string> => {
    if (process.env.TEST_REDIS_URL) return process.env.TEST_REDIS_URL;
    const redis = await startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true, log });
    running.push(redis);
    return redis.url;
  };
  const started = await Promise.allSettled([databaseUrl(), redisUrl()]);
  const [database, redis] = started;
  if (database.status === 'rejected' || redis.status === 'rejected') {
    // What did start would keep vitest from ending.
    await Promise.all(running.map((server) => server.stop()));
    const reasons = started.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    throw new AggregateError(
      reasons,
      `the servers for the tests did not start: ${reasons.map(String).join('; ')}`,
    );
  }
  const testDatabaseUrl = database.value;
  const testRedisUrl = redis.value;
  const testRunId = randomBytes(4).toString('hex');
  project.provide('testDatabaseUrl', testDatabaseUrl);
  project.provide('testRedisUrl', testRedisUrl);
  project.provide('testRunId', testRunId);

  return async () => {
    if (process.env.TEST_DATABASE_URL) await dropTestDatabases(testDatabaseUrl, testRunId);
    await Promise.all(running.map((server) => server.stop()));
    ownership.release();
    process.off('exit', removeAtOnce);
    rmSync(directory, { recursive: true, force: true });
  };
}

/** A run that was killed with SIGKILL could not remove its directory; its servers ended by their guards. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(directoryPrefix)) continue;
    const directory = join(tmpdir(), name);
    try {
      ownDirectory(directory, 'a test run');
      rmSync(directory, { recursive: true, force: true });
    } catch (error) {
      // In use by another run, or another user's: not ours to remove.
      if (!(error instanceof DirectoryInUseError) && !isRefusal(error)) throw error;
    }
  }
}

function isRefusal(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EACCES' || code === 'EPERM' || code === 'ENOTEMPTY' || code === 'ENOENT';
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
