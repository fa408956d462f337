import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestRedis } from '@millrace/test-support';
import type { Redis } from 'ioredis';
import { createCapacityBook } from '../book/capacity-book.ts';
import type { CapacityBook, CapacityBookOptions } from '../book/capacity-book.ts';
import type { DomainLimits } from '../domain/domain-limits.ts';

/** Books on the test run's Redis, under keys of their own. */
export interface TestBooks {
  redis: Redis;
  url: string;
  prefix: string;
  /** A pool that nobody has used. */
  newPool(): string;
  /** A book that knows one pool, as one process would open it. */
  open(pool: string, limits: DomainLimits, options?: Partial<CapacityBookOptions>): CapacityBook;
  close(): Promise<void>;
}

/**
 * Connects; every error of a book fails the test that closes it. Commands wait for a Redis that had no time: one that timed out
 * would be such an error.
 */
export async function openTestBooks(): Promise<TestBooks> {
  const testRedis = createTestRedis();
  const { url, prefix } = testRedis;
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const redis = connectRedis({ url, role: 'worker', name: 'capacity-test', onError });
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
  let pools = 0;
  return {
    redis,
    url,
    prefix,
    newPool: () => `pool${(pools += 1)}`,
    open: (pool, limits, options = {}) =>
      createCapacityBook({
        redis,
        names: keyNames(prefix),
        onError,
        domains: new Map([[pool, limits]]),
        ...options,
      }),
    async close() {
      await testRedis.flush();
      await closeRedis(redis);
      if (errors.length > 0) throw new AggregateError(errors, 'the books met errors');
    },
  };
}
