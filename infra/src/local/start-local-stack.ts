import { join, resolve } from 'node:path';
import { migrate } from '@millrace/ledger';
import { ownDirectory } from '../processes/own-directory.ts';
import { startEmbeddedPostgres } from '../postgres/start-embedded-postgres.ts';
import { startRedisServer } from '../redis/start-redis-server.ts';
import { requireFreePort } from '../network/require-free-port.ts';
import { resolveBootstrapKey, type BootstrapKey } from './bootstrap-key.ts';
import { entriesOfRepository, type Entries } from './entries.ts';
import { startSimulator } from './start-simulator.ts';
import { startApps, type RunningApp } from './start-apps.ts';
import type { WorkerRange } from './scale-workers.ts';
import type { StackLogLine } from './stack-log-line.ts';
import { stopInOrder, type Stoppable } from './stop-in-order.ts';
import type { StopReport } from './supervise-process.ts';
import { superviseServer } from './supervise-server.ts';

/** A Millrace that runs on this machine. */
export interface LocalStack {
  /** `http://127.0.0.1:PORT`, without a slash at its end. Stays the same when the API is started again. */
  apiUrl: string;
  bootstrapKey: string;
  bootstrapKeyOrigin: BootstrapKey;
  databaseUrl: string;
  redisUrl: string;
  /** Null with real providers. */
  simulatorUrl: string | null;
  /** The simulator's journal, one JSON object a line; null with real providers. */
  simulatorJournalPath: string | null;
  /** How PostgreSQL and Redis are provided, in words for people; no secrets. */
  database: string;
  redis: string;
  /** Apps and simulator as they are now, without workers that only end their calls; `pid` and `signal` are for tests that kill them. They are started again. */
  readonly processes: RunningApp[];
  /** The embedded servers' processes as they are now; null where a URL was given. */
  serverPids(): { postgres: number | null; redis: number | null };
  /** Stops apps, then simulator, then servers. Answers which apps had to be killed. May be called twice. */
  stop(): Promise<StopReport[]>;
  /** Makes a running `stop` a quick one: kills the apps and the simulator. */
  kill(): void;
}

/** What a stack needs to know. */
export interface LocalStackRequest {
  dataDirectory: string;
  /** Where the API listens; 127.0.0.1 by default. */
  host?: string;
  /** Of the API; 0: any that is free. */
  port: number;
  /** Number of worker processes; with a range as many of them as the work and the providers' limits ask for. */
  workers: number | WorkerRange;
  /**
   * The environment of the apps. DATABASE_URL, REDIS_URL, OPENAI_API_KEY, ANTHROPIC_API_KEY and
   * MILLRACE_BOOTSTRAP_KEY also decide what is embedded, simulated and created.
   */
  environment: NodeJS.ProcessEnv;
  onLog: (line: StackLogLine) => void;
  /** How long a worker that is not needed any more may go on with its calls; 600,000 by default. A stop does not wait for that. */
  drainMs?: number;
  /** How long the apps may take to stop; 30,000 by default. */
  stopGraceMs?: number;
  /** After how long an app that dies is started again at once, as after its first death; 30,000 by default. */
  healthyAfterMs?: number;
  /** Aborting gives up a start that is under way. */
  signal?: AbortSignal;
  entries?: Entries;
}

/**
 * Starts everything and resolves when the API is ready. Rejects with a message for people, after stopping what was
 * started: DirectoryInUseError, PortInUseError, or an app's last lines.
 */
export async function startLocalStack(request: LocalStackRequest): Promise<LocalStack> {
  const dataDirectory = resolve(request.dataDirectory);
  const notice = (line: string): void => request.onLog({ source: 'local', line });
  const started: Stoppable[] = [];
  const entries = request.entries ?? entriesOfRepository;
  const stopGraceMs = request.stopGraceMs ?? 30_000;

  const signal = request.signal ?? new AbortController().signal;

  const ownership = ownDirectory(dataDirectory, 'Millrace');
  started.push({ stop: async () => ownership.release() });
  try {
    await requireFreePort(
      request.host ?? '127.0.0.1',
      request.port,
      'the API',
      'Set MILLRACE_PORT to another one; 0 takes any that is free.',
    );
    const bootstrapKey = resolveBootstrapKey(dataDirectory, request.environment);
    const database = await provideDatabase(request, dataDirectory, notice, started);
    signal.throwIfAborted();
    const redis = await provideRedis(request, dataDirectory, notice, started);
    signal.throwIfAborted();
    const simulator = needsSimulator(request.environment)
      ? await startSimulator({ ...request, entry: entries.simulator, dataDirectory, signal, notice, started })
      : null;
    await migrate(database.url, notice);
    signal.throwIfAborted();

    const { workers } = request;
    const apps = await startApps({
      ...request,
      workers: typeof workers === 'number' ? { least: workers, most: workers } : workers,
      entries,
      drainMs: request.drainMs ?? 600_000,
      stopGraceMs,
      signal,
      environment: {
        MILLRACE_BLOB_STORE: `file:${join(dataDirectory, 'blobs')}`,
        // Half of the processor's time that the start of an app takes is compiling, after a death as well.
        NODE_COMPILE_CACHE: join(dataDirectory, 'compiled'),
        ...request.environment,
        ...simulator?.environment,
        DATABASE_URL: database.url,
        REDIS_URL: redis.url,
        MILLRACE_DATA_DIR: dataDirectory,
      },
      bootstrapKey: bootstrapKey.key,
      notice,
      started,
    });

    const processes = (): RunningApp[] => [
      ...apps.processes(),
      ...(simulator === null ? [] : [simulator.process]),
    ];
    let stopping: Promise<StopReport[]> | undefined;
    return {
      apiUrl: apps.apiUrl,
      bootstrapKey: bootstrapKey.key,
      bootstrapKeyOrigin: bootstrapKey,
      databaseUrl: database.url,
      redisUrl: redis.url,
      simulatorUrl: simulator?.url ?? null,
      simulatorJournalPath: simulator?.journalPath ?? null,
      database: database.description,
      redis: redis.description,
      get processes() {
        return processes();
      },
      serverPids: () => ({ postgres: database.pid(), redis: redis.pid() }),
      stop: () => (stopping ??= stopInOrder(started)),
      kill: () => {
        for (const each of [...processes(), ...apps.leaving()]) each.signal('SIGKILL');
      },
    };
  } catch (error) {
    await stopInOrder(started);
    throw error;
  }
}

/** A provider's key in the environment means: use the real ones. */
function needsSimulator(environment: NodeJS.ProcessEnv): boolean {
  return !environment.OPENAI_API_KEY && !environment.ANTHROPIC_API_KEY;
}

interface ProvidedServer {
  url: string;
  description: string;
  pid: () => number | null;
}

async function provideDatabase(
  { environment, onLog }: LocalStackRequest,
  dataDirectory: string,
  notice: (line: string) => void,
  started: Stoppable[],
): Promise<ProvidedServer> {
  if (environment.DATABASE_URL) {
    return {
      url: environment.DATABASE_URL,
      description: `DATABASE_URL, ${withoutSecrets(environment.DATABASE_URL)}`,
      pid: () => null,
    };
  }
  const directory = join(dataDirectory, 'postgres');
  const server = await superviseServer({
    name: 'PostgreSQL',
    start: (port) =>
      startEmbeddedPostgres({
        dataDirectory: directory,
        log: (line) => onLog({ source: 'postgres', line }),
        ...(port === undefined ? {} : { port }),
      }),
    onNotice: notice,
  });
  started.push(server);
  return {
    url: server.first.url,
    description: `embedded, ${withoutSecrets(server.first.url)}, data in ${directory}`,
    pid: () => server.pid,
  };
}

async function provideRedis(
  { environment, onLog }: LocalStackRequest,
  dataDirectory: string,
  notice: (line: string) => void,
  started: Stoppable[],
): Promise<ProvidedServer> {
  if (environment.REDIS_URL) {
    return {
      url: environment.REDIS_URL,
      description: `REDIS_URL, ${withoutSecrets(environment.REDIS_URL)}`,
      pid: () => null,
    };
  }
  const directory = join(dataDirectory, 'redis');
  const server = await superviseServer({
    name: 'Redis',
    start: (port) =>
      startRedisServer({
        dataDirectory: directory,
        appendOnly: true,
        log: (line) => onLog({ source: 'redis', line }),
        ...(port === undefined ? {} : { port }),
      }),
    onNotice: notice,
  });
  started.push(server);
  const { program, url } = server.first;
  const origin = program.source === 'path' ? `${program.command} on the path` : 'the distribution’s package';
  return {
    url,
    description: `embedded ${program.version} (${origin}), ${url}, data in ${directory}`,
    pid: () => server.pid,
  };
}

function withoutSecrets(address: string): string {
  const url = new URL(address);
  url.username = '';
  url.password = '';
  url.search = '';
  return url.href;
}
