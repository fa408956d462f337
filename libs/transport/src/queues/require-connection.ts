import { once } from 'node:events';
import type { Redis } from 'ioredis';

const PATIENCE_MS = 1_000;

/**
 * Resolves when the connection can be used; throws when that takes longer than a second, and at once while a connection that
 * was lost is being made anew. Without this a BullMQ queue that has never seen its server waits for it without end, and with
 * it everybody who wants to enqueue.
 */
export async function requireConnection(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'connecting' || redis.status === 'connect') {
    await once(redis, 'ready', { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined);
    if (isReady(redis)) return;
  }
  throw new Error(`redis cannot be reached (${redis.status})`);
}

/** By itself, because the status has changed while we waited. */
function isReady(redis: Redis): boolean {
  return redis.status === 'ready';
}
