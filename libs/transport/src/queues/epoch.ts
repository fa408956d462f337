import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';

/**
 * Whether Redis still has what it had: false when the mark that {@link markEpoch} set is gone (FLUSHALL, a restart without
 * its file, another server) or was never set.
 */
export async function hasEpoch(redis: Redis, names: KeyNames): Promise<boolean> {
  return (await redis.exists(names.epoch)) === 1;
}

/** Sets the mark, once everything that was lost has been made due again. */
export async function markEpoch(redis: Redis, names: KeyNames, mark: string): Promise<void> {
  await redis.set(names.epoch, mark, 'NX');
}
