import { mkdir, realpath } from 'node:fs/promises';
import { startOnPort } from '../network/start-on-port.ts';
import { ownDirectory } from '../processes/own-directory.ts';
import { spawnGuarded, type GuardedProcess } from '../processes/spawn-guarded.ts';
import { waitUntilReady } from '../processes/wait-until-ready.ts';
import { embeddedRole, initialiseCluster, postgresEnvironment } from './initialise-cluster.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { chooseServerUser, type ServerUser } from './server-user.ts';
import { stopOrphanedServer } from './stop-orphaned-server.ts';

/** A running PostgreSQL on 127.0.0.1. */
export interface EmbeddedPostgres {
  /** `postgres://` address of the database, with the password. */
  url: string;
  pid: number;
  /** Resolves with a description when the server ends without having been asked to. */
  died: Promise<string>;
  /** Shuts down (fast shutdown: clients are disconnected, all is on disk). May be called twice. */
  stop(): Promise<void>;
}

const stopGraceMs = 20_000;

/**
 * Starts a real PostgreSQL 18 on a data directory that is kept; initialises it the first time. Whatever an earlier
 * run left (an unclean death, a server that still runs) is recovered from. Without `port` a free one is taken.
 * Throws DirectoryInUseError while another living process runs on the directory.
 */
export async function startEmbeddedPostgres(request: {
  dataDirectory: string;
  port?: number;
  log: (line: string) => void;
}): Promise<EmbeddedPostgres> {
  await mkdir(request.dataDirectory, { recursive: true });
  const dataDirectory = await realpath(request.dataDirectory);
  const ownership = ownDirectory(dataDirectory, 'PostgreSQL');
  try {
    const binaries = await findPostgresBinaries();
    const user = chooseServerUser([`${dataDirectory}/cluster`, binaries.postgres]);
    const { clusterDirectory, password } = await initialiseCluster({
      dataDirectory,
      binaries,
      user,
      log: request.log,
    });
    await stopOrphanedServer(clusterDirectory, request.log);
    const cluster = { program: binaries.postgres, clusterDirectory, user };
    const { server, port } = await startOnPort(request.port, (port) =>
      startServer(cluster, port, request.log),
    );

    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await server.stop({ signal: 'SIGINT', graceMs: stopGraceMs });
      ownership.release();
    };
    return {
      url: `postgres://${embeddedRole}:${password}@127.0.0.1:${port}/${embeddedRole}`,
      pid: server.pid,
      died: new Promise((resolve) => {
        void server.exited.then(({ code, signal }) => {
          if (stopping === undefined) resolve(`PostgreSQL ended (${signal ?? `exit code ${code}`})`);
        });
      }),
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    ownership.release();
    throw error;
  }
}

interface Cluster {
  program: string;
  clusterDirectory: string;
  user: ServerUser;
}

async function startServer(
  cluster: Cluster,
  port: number,
  log: (line: string) => void,
): Promise<GuardedProcess> {
  const { prefix } = cluster.user;
  const server = await spawnGuarded({
    command: prefix[0] ?? cluster.program,
    arguments: [
      ...prefix.slice(1),
      ...(prefix.length > 0 ? [cluster.program] : []),
      '-D',
      cluster.clusterDirectory,
      ...settings(port),
    ],
    environment: postgresEnvironment,
    workingDirectory: '/',
    ...(cluster.user.userId === undefined ? {} : { userId: cluster.user.userId }),
    ...(cluster.user.groupId === undefined ? {} : { groupId: cluster.user.groupId }),
    orphanSignal: 'INT',
    orphanGraceMs: 10_000,
  });
  await waitUntilReady(server, {
    name: 'PostgreSQL',
    port,
    readyText: 'database system is ready to accept connections',
    log,
  });
  return server;
}

/** Settings for one developer's machine. Durability stays as in production: what was committed is on disk. */
function settings(port: number): string[] {
  const values: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    // No socket file: its path is limited to about 100 characters, and its folder would have to be writable.
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '128MB',
    synchronous_commit: 'on',
    max_wal_size: '1GB',
    // Short queries only; compiling them costs more than it saves.
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '',
    log_checkpoints: 'off',
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
