import { createBreakers, createCapacityBook } from '@millrace/capacity';
import { loadConfig, poolOf } from '@millrace/config';
import type { StepRequest } from '@millrace/contracts';
import { changeRoutes, migrate, openDatabase } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestDatabase, createTestRedis, waitFor } from '@millrace/test-support';
import { announceRouteChange, createProducer } from '@millrace/transport';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openRouting } from './open-routing.ts';

const LUNA = 'openai/gpt-6-luna';
const HAIKU = 'anthropic/claude-haiku-5-5';
const by = { apiKeyId: 'key', tenantId: 'acme' };
const ignore = () => undefined;
const request: StepRequest = {
  kind: 'call',
  route: 'cheap',
  model: null,
  system: null,
  messages: [{ role: 'user', content: 'hello' }],
  output: null,
  maxOutputTokens: null,
  stream: false,
};

let setup: Awaited<ReturnType<typeof open>>;
beforeAll(async () => {
  setup = await open();
});
afterAll(async () => {
  await setup.close();
});

/** A routing that asks the ledger only at its start and when it is told. */
async function open() {
  const [testDatabase, testRedis] = [await createTestDatabase({ migrate }), createTestRedis()];
  const config = loadConfig({ DATABASE_URL: testDatabase.url, REDIS_URL: testRedis.url }, '/nonexistent');
  const database = openDatabase({
    url: testDatabase.url,
    maxConnections: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'test',
  });
  const names = keyNames(testRedis.prefix);
  const connect = (role: 'producer' | 'subscriber') =>
    connectRedis({ url: testRedis.url, role, name: 'test', onError: ignore });
  const [redis, subscriber] = [connect('producer'), connect('subscriber')];
  await waitFor(() => redis.status === 'ready' && subscriber.status === 'ready', { what: 'redis' });
  const producer = createProducer({
    redis,
    names,
    pools: ['openai', 'anthropic'],
    weightOf: () => 1,
    tokensPerMinuteOf: () => null,
    onError: ignore,
  });
  const { router, services } = openRouting({
    config,
    database,
    producer,
    redis,
    subscriber,
    names,
    capacity: createCapacityBook({ redis, names, onError: ignore }),
    breakers: createBreakers({ redis, names, onError: ignore }),
    isUsable: () => true,
    poolOf: (target) => poolOf(config.pools, target),
    usualOutputTokens: () => null,
    onLastResort: ignore,
    onError: ignore,
    everyMs: 3_600_000,
  });
  for (const service of services) await service.start();
  return {
    database,
    router,
    announce: () => announceRouteChange(redis, names, ignore),
    async close() {
      for (const service of services.reverse()) await service.stop();
      await producer.close();
      await Promise.all([closeRedis(redis), closeRedis(subscriber), database.close()]);
      await testRedis.flush();
      await testDatabase.drop();
    },
  };
}

it('hears of a change when it is announced', async () => {
  const { database, router, announce } = setup;
  expect(router.place(request)).toEqual({ target: LUNA, pool: 'openai' });
  await changeRoutes(database, by, [{ route: 'cheap', target: LUNA, enabled: false, configuredWeight: 1 }]);
  await announce();
  await waitFor(() => router.isOff('cheap', LUNA), { what: 'the change' });
  expect(router.place(request)).toEqual({ target: HAIKU, pool: 'anthropic' });
  expect(router.targetsOf('cheap')).toEqual([HAIKU]);
  // Switched off on this route only.
  expect(router.isOff(null, LUNA)).toBe(false);
  expect(router.place({ ...request, route: null, model: LUNA })).toEqual({ target: LUNA, pool: 'openai' });
});
