import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { inject } from 'vitest';

/** A corner of the test run's Redis for one test file. */
export interface TestRedis {
  /** `redis://` address, shared with the other test files. */
  url: string;
  /** Put before every key, without a separator at its end. */
  prefix: string;
  /** Deletes every key that contains the prefix (BullMQ and hash tags may put something in front of it). */
  flush(): Promise<void>;
}

/** A key prefix that no other test file has. A test that needs FLUSHALL starts a Redis of its own (`startRedisServer`). */
export function createTestRedis(): TestRedis {
  const url = inject('testRedisUrl');
  const prefix = `t${inject('testRunId')}${randomBytes(4).toString('hex')}`;
  return { url, prefix, flush: () => deleteKeys(url, prefix) };
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `*${prefix}*`, 'COUNT', 1000);
      if (keys.length > 0) await redis.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
  } finally {
    redis.disconnect();
  }
}
