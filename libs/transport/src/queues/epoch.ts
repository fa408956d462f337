import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';

/**
 * Whether Redis still has what it had: true when the mark of an earlier call is there. False when it is gone (FLUSHALL,
 * a restart without its file, another server) or was never set; the mark is set then.
 */
export async function checkEpoch(redis: Redis, names: KeyNames, mark: string): Promise<boolean> {
  const set = await redis.set(names.epoch, mark, 'NX');
  return set === null;
}
