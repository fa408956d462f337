import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createTestRedis } from './create-test-redis.ts';

test('flush deletes the keys of one test file and leaves those of another', async () => {
  const mine = createTestRedis();
  const other = createTestRedis();
  const redis = new Redis(mine.url);
  await redis.mset(`${mine.prefix}:a`, '1', `{${mine.prefix}}:b`, '2', `${other.prefix}:a`, '3');

  await mine.flush();

  expect(await redis.exists(`${mine.prefix}:a`, `{${mine.prefix}}:b`)).toBe(0);
  expect(await redis.get(`${other.prefix}:a`)).toBe('3');
  await other.flush();
  redis.disconnect();
});

test('the Redis of the tests never evicts and keeps an append-only file, as BullMQ needs', async () => {
  const redis = new Redis(createTestRedis().url);
  expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  expect(await redis.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
  redis.disconnect();
});
