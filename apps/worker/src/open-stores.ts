import type { Config } from '@millrace/config';
import { openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { connectRedis } from '@millrace/redis';
import type { RedisRole } from '@millrace/redis';

/** A connection to Redis. */
export type Redis = ReturnType<typeof connectRedis>;

/** The connections of a worker. */
export interface Stores {
  database: Database;
  /** A connection of its own for the renewal of claims, which must not wait for anything else. */
  heartbeats: Database;
  redis: { consumer: Redis; producer: Redis; subscriber: Redis };
}

/** Opens the connections. They reconnect by themselves and tell `onError` of trouble; whoever opens them closes them. */
export function openStores(config: Config, onError: (error: unknown) => void): Stores {
  const { setting } = config;
  const database = openDatabase({
    url: config.databaseUrl,
    maxConnections: setting.MILLRACE_DATABASE_CONNECTIONS,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 15_000,
    applicationName: 'millrace-worker',
    byKeys: true,
    onIdleError: onError,
  });
  // A heartbeat must not hang for longer than two of them are apart.
  const heartbeatMs = setting.MILLRACE_LEASE / 3;
  const heartbeats = openDatabase({
    url: config.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: heartbeatMs,
    statementTimeoutMs: Math.max(1_000, Math.round(heartbeatMs)),
    applicationName: 'millrace-worker-heartbeat',
    byKeys: true,
    onIdleError: onError,
  });
  const connect = (role: RedisRole): Redis =>
    connectRedis({ url: config.redisUrl, role, name: `millrace-worker-${role}`, onError });
  return {
    database,
    heartbeats,
    redis: { consumer: connect('worker'), producer: connect('producer'), subscriber: connect('subscriber') },
  };
}
