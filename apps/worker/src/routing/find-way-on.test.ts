import { createBreakers, createCapacityBook, createOutputEstimator } from '@millrace/capacity';
import type { ClaimedStep } from '@millrace/ledger';
import { loadPriceCatalogue } from '@millrace/providers';
import type { Provider } from '@millrace/providers';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestRedis, waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { likenessOf } from '../calls/likeness-of.ts';
import { findWayOn } from './find-way-on.ts';
import type { WayOnDependencies } from './find-way-on.ts';
import type { TargetRouter } from './router.ts';

const server = createTestRedis();
const names = keyNames(server.prefix);
const onError = (error: unknown): void => {
  throw error;
};
let redis: ReturnType<typeof connectRedis>;
beforeAll(async () => {
  redis = connectRedis({ url: server.url, role: 'worker', name: 'way-on-test', onError });
  await waitFor(() => redis.status === 'ready', { what: 'redis' });
});
afterAll(async () => {
  await server.flush();
  await closeRedis(redis);
});

const [FULL, OTHER] = ['openai/m', 'anthropic/m'];
const step = {
  ...{ jobId: 'job', key: '0', tenantId: 'acme', pool: 'openai', target: FULL, route: 'cheap', fence: 1 },
  ...{ priority: 'standard', lane: 'realtime', repair: null, deadlineAt: null, spentTargets: [] },
  request: {
    system: null,
    messages: [{ role: 'user', content: 'hello' }],
    maxOutputTokens: 4_000,
    output: null,
  },
} as unknown as ClaimedStep;

/** What a step needs that waits at its target and may go to another one, which counts output as it is produced. */
function open(): WayOnDependencies {
  const limits = { outputTokens: 5_000, burstMs: 2_400_000 };
  const router = {
    targetsOf: () => [FULL, OTHER],
    chooseAnother: (_: unknown, accepts: (target: string) => boolean) =>
      accepts(OTHER) ? { kind: 'healthy', target: OTHER } : null,
  };
  return {
    router: router as unknown as TargetRouter,
    breakers: createBreakers({ redis, names, onError }),
    capacity: createCapacityBook({ redis, names, onError, domains: new Map([['anthropic', limits]]) }),
    estimator: createOutputEstimator({ redis, names, onError }),
    poolOf: (target) => target.split('/')[0]!,
    findEarlierAnswer: async () => null,
    providers: new Map([['anthropic', { name: 'anthropic', kind: 'anthropic' } as unknown as Provider]]),
    catalogue: loadPriceCatalogue(),
    defaultMaxOutputTokens: 1_024,
    callTimeoutMs: 60_000,
    now: Date.now,
  };
}

const wayOn = (dependencies: WayOnDependencies) =>
  findWayOn(dependencies, step, { kind: 'must_wait', delayMs: 20_000 });

it('a target that counts what is produced is not taken to be full for the answers’ longest length', async () => {
  const busy = open();
  const asLongAsAllowed = { inputTokens: 10, maxOutputTokens: 4_000 };
  await busy.capacity.reserve('anthropic', asLongAsAllowed, { horizonMs: 0 });
  expect(await wayOn(busy)).toMatchObject({ freeTarget: null });

  const kind = likenessOf({ ...step, target: OTHER }, 4_000);
  for (let answers = 0; answers < 25; answers += 1) await busy.estimator.record(kind, 50);
  expect(await wayOn(open())).toMatchObject({ freeTarget: OTHER });
});
