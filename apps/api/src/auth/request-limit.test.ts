import { closeRedis, connectRedis } from '@millrace/redis';
import { createTestRedis } from '@millrace/test-support';
import type { TestRedis } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRequestLimit } from './request-limit.ts';
import type { TakeRequest } from './request-limit.ts';

let testRedis: TestRedis;
let redis: ReturnType<typeof connectRedis>;
beforeAll(() => {
  testRedis = createTestRedis();
  redis = connectRedis({ url: testRedis.url, role: 'worker', name: 'test', onError: () => undefined });
});
afterAll(async () => {
  await closeRedis(redis);
  await testRedis.flush();
});

const createProcess = (): TakeRequest =>
  createRequestLimit({
    redis,
    keyPrefix: testRedis.prefix,
    onError: (error) => {
      throw error;
    },
  });

async function takeMany(take: TakeRequest, tenantId: string, limit: number, times: number): Promise<number> {
  const allowances = await Promise.all(Array.from({ length: times }, () => take(tenantId, limit)));
  return allowances.filter((allowance) => allowance.allowed).length;
}

test('two processes together let in what a small limit says, to the request', async () => {
  const [one, two] = [createProcess(), createProcess()];
  await redis.ping();
  const counts = await Promise.all([takeMany(one, 'small', 50, 40), takeMany(two, 'small', 50, 40)]);
  expect(counts[0] + counts[1]).toBe(50);
});

test('two processes together never let in more than a large limit says, and at most their last parts less', async () => {
  const [one, two] = [createProcess(), createProcess()];
  await redis.ping();
  const counts = await Promise.all([
    takeMany(one, 'large', 2_000, 1_500),
    takeMany(two, 'large', 2_000, 1_500),
  ]);
  const total = counts[0] + counts[1];
  expect(total).toBeLessThanOrEqual(2_000);
  expect(total).toBeGreaterThan(2_000 - 2 * 10);
});

test('a limit that is raised counts at once', async () => {
  const take = createProcess();
  await redis.ping();
  expect(await takeMany(take, 'raised', 3, 5)).toBe(3);
  expect(await takeMany(take, 'raised', 6, 5)).toBe(3);
});

test('what is left goes down with each request', async () => {
  const take = createProcess();
  await redis.ping();
  const remaining: number[] = [];
  for (let number = 0; number < 12; number += 1) remaining.push((await take('falling', 1_000)).remaining);
  expect(remaining).toEqual(Array.from({ length: 12 }, (_, number) => 999 - number));
});
