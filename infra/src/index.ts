export { startLocalStack, type LocalStack, type LocalStackRequest } from './local/start-local-stack.ts';
export { withTemporaryStack } from './local/with-temporary-stack.ts';
export type { StackLogLine } from './local/stack-log-line.ts';
export type { RunningApp } from './local/start-apps.ts';
export type { SupervisedProcess, StopReport } from './local/supervise-process.ts';
export { PortInUseError } from './network/start-on-port.ts';
export { startEmbeddedPostgres, type EmbeddedPostgres } from './postgres/start-embedded-postgres.ts';
export { DirectoryInUseError, ownDirectory } from './processes/own-directory.ts';
export { freeze } from './processes/freeze.ts';
export { identifyProcess, isSameProcessRunning, type ProcessIdentity } from './processes/process-identity.ts';
export { readLines } from './processes/read-lines.ts';
export {
  spawnGuarded,
  type GuardedCommand,
  type GuardedProcess,
  type ProcessExit,
} from './processes/spawn-guarded.ts';
export { resolveRedisServer, type RedisServerProgram } from './redis/resolve-redis-server.ts';
export { startRedisServer, type RedisServer } from './redis/start-redis-server.ts';
