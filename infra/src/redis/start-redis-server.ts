import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startOnPort } from '../network/start-on-port.ts';
import { endProcess } from '../processes/end-process.ts';
import { ownDirectory } from '../processes/own-directory.ts';
import {
  identifyProcess,
  isSameProcessRunning,
  type ProcessIdentity,
} from '../processes/process-identity.ts';
import { spawnGuarded, type GuardedProcess } from '../processes/spawn-guarded.ts';
import { waitUntilReady } from '../processes/wait-until-ready.ts';
import { resolveRedisServer, type RedisServerProgram } from './resolve-redis-server.ts';

/** A running Redis or Valkey on 127.0.0.1. */
export interface RedisServer {
  /** `redis://127.0.0.1:PORT` */
  url: string;
  pid: number;
  /** Which program runs and where it comes from. */
  program: RedisServerProgram;
  /** Resolves with a description when the server ends without having been asked to. */
  died: Promise<string>;
  /** Writes everything to the disk and ends. May be called twice. */
  stop(): Promise<void>;
}

const stopGraceMs = 10_000;

/**
 * Starts a Redis on a data directory that is kept, with what BullMQ needs: an append-only file, and no eviction. A
 * server that an earlier, dead owner left on the directory is stopped first. Without `port` a free one is taken.
 * Throws DirectoryInUseError while another living process runs on the directory.
 */
export async function startRedisServer(request: {
  dataDirectory: string;
  port?: number;
  /** False keeps everything in memory only. */
  appendOnly: boolean;
  program?: RedisServerProgram;
  log?: (line: string) => void;
}): Promise<RedisServer> {
  const log = request.log ?? (() => undefined);
  const program = request.program ?? (await resolveRedisServer(process.env, log));
  mkdirSync(request.dataDirectory, { recursive: true });
  const dataDirectory = realpathSync(request.dataDirectory);
  const ownership = ownDirectory(dataDirectory, 'Redis');
  const identityFile = join(dataDirectory, 'server.json');
  try {
    await stopOrphanedServer(identityFile, log);
    const { server, port } = await startOnPort(request.port, (port) =>
      startServer({ dataDirectory, appendOnly: request.appendOnly, program, log }, port),
    );
    writeFileSync(identityFile, JSON.stringify(identifyProcess(server.pid)));

    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await server.stop({ signal: 'SIGTERM', graceMs: stopGraceMs });
      rmSync(identityFile, { force: true });
      ownership.release();
    };
    return {
      url: `redis://127.0.0.1:${port}`,
      pid: server.pid,
      program,
      died: new Promise((resolve) => {
        void server.exited.then(({ code, signal }) => {
          if (stopping === undefined) resolve(`Redis ended (${signal ?? `exit code ${code}`})`);
        });
      }),
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    ownership.release();
    throw error;
  }
}

interface RedisLaunch {
  dataDirectory: string;
  appendOnly: boolean;
  program: RedisServerProgram;
  log: (line: string) => void;
}

async function startServer(launch: RedisLaunch, port: number): Promise<GuardedProcess> {
  const settings: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(port),
    dir: launch.dataDirectory,
    appendonly: launch.appendOnly ? 'yes' : 'no',
    'maxmemory-policy': 'noeviction',
    save: '',
  };
  const server = await spawnGuarded({
    command: launch.program.command,
    arguments: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    environment: { PATH: process.env.PATH ?? '', LC_ALL: 'C', ...launch.program.environment },
    workingDirectory: launch.dataDirectory,
    orphanSignal: 'TERM',
    orphanGraceMs: 10_000,
  });
  await waitUntilReady(server, {
    name: 'Redis',
    port,
    readyText: 'Ready to accept connections',
    log: launch.log,
  });
  return server;
}

/** The guard stops a server whose owner dies; this is for the case that the guard was killed as well. */
async function stopOrphanedServer(identityFile: string, log: (line: string) => void): Promise<void> {
  let identity: ProcessIdentity;
  try {
    identity = JSON.parse(readFileSync(identityFile, 'utf8')) as ProcessIdentity;
  } catch {
    return;
  }
  if (!isSameProcessRunning(identity)) return;
  log(`stopping Redis process ${identity.pid}, which an earlier run left behind`);
  await endProcess(identity, ['SIGTERM'], stopGraceMs);
}
