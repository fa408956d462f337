import { Redis } from 'ioredis';
import type { Command } from 'ioredis';

/**
 * How a connection behaves while Redis is away. `worker`: commands wait until it is back (BullMQ asks for that).
 * `producer`: commands fail at once or after a second, so that a request can be answered. `subscriber`: waits, and
 * subscribes again by itself.
 */
export type RedisRole = 'worker' | 'producer' | 'subscriber';

export interface RedisOptions {
  url: string;
  role: RedisRole;
  /** Shown by CLIENT LIST. */
  name: string;
  /** Told about connection errors; without Redis they come once per attempt to reconnect. */
  onError: (error: Error) => void;
}

/** Opens a connection that reconnects by itself, at most two seconds after Redis is back. Close it with `quit`. */
export function connectRedis(options: RedisOptions): Redis {
  const waits = options.role !== 'producer';
  const redis = new (waits ? Redis : PatientRedis)(options.url, {
    connectionName: options.name,
    maxRetriesPerRequest: waits ? null : 0,
    enableOfflineQueue: waits,
    ...(waits ? {} : { commandTimeout: 1_000 }),
    connectTimeout: 2_000,
    // A server that is frozen or behind a dead link answers nothing, and the system would believe in such a connection for
    // a quarter of an hour: with a command under way and silence for so long the socket is given up and made anew.
    socketTimeout: options.role === 'worker' ? LONGEST_BLOCK_MS + 2_000 : 3_000,
    keepAlive: 5_000,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 2_000),
    // While it loads its files, Redis answers LOADING to everything: that is the same as not being there yet.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  redis.on('error', options.onError);
  if (options.role === 'subscriber') askWhetherItIsThere(redis);
  return redis;
}

/** Any time that is not zero: before it is over, Node has read what the sockets hold. */
const LAST_LOOK_MS = 50;

/**
 * Looks for the answer once more before a command has timed out. A process that stood still for a second (many prompts to
 * count, a garbage collection, a machine that gave it no time) comes to its timers before it reads its sockets, and would
 * take its own silence for that of Redis: calls would then leave without a booking.
 */
class PatientRedis extends Redis {
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    const giveUp = command.reject;
    command.reject = (error) => {
      if (isTimeout(error)) setTimeout(giveUp, LAST_LOOK_MS, error);
      else giveUp(error);
    };
    return super.sendCommand(command, stream);
  }
}

function isTimeout(error: Parameters<Command['reject']>[0]): boolean {
  return error.message === 'Command timed out';
}

/** BullMQ lets Redis hold an answer back for ten seconds at most. */
const LONGEST_BLOCK_MS = 10_000;
const PING_EVERY_MS = 5_000;

/** A connection that only listens would never notice that nobody speaks any more. */
function askWhetherItIsThere(redis: Redis): void {
  const beat = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  }, PING_EVERY_MS);
  beat.unref();
  redis.once('end', () => clearInterval(beat));
}

/** A server that does not answer QUIT by then stands still. */
const QUIT_MS = 1_000;

/** Closes a connection without waiting for a server that is not there or stands still. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, QUIT_MS);
    });
    await Promise.race([redis.quit().catch(() => undefined), patience]);
    clearTimeout(timer);
  }
  redis.disconnect();
}
