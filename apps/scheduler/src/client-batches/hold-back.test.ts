import { createProviders } from '@millrace/calls';
import { loadConfig } from '@millrace/config';
import type { ScalingPlan } from '@millrace/contracts';
import { findOpenClientBatches, updateTenant } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createBatchSlots } from './batch-slots.ts';
import { HeldBack, createHoldBack } from './hold-back.ts';
import { moveBatch } from './move-batch.ts';
import { openFitsBatch } from './open-fits-batch.ts';
import { chatLine, openBatchFixture, tenantId } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const config = loadConfig(
  { DATABASE_URL: 'postgres://x/x', REDIS_URL: 'redis://x', OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k' },
  '/nowhere',
);

/** A fleet in which standard work waits for so long in these pools. */
function planWith(waitMs: Readonly<Record<string, number>>): ScalingPlan {
  const none = { waiting: 0, oldestAgeMs: 0, waitMs: 0, arrivals: [] };
  const pools = Object.entries(waitMs).map(([pool, wait]) => [
    pool,
    {
      wanted: 1,
      granted: 1,
      feedable: null,
      bottleneck: 'backlog' as const,
      running: 1,
      holdMs: 1_000,
      ratePerSecond: 1,
      classes: {
        realtime: none,
        standard: { waiting: 5, oldestAgeMs: wait, waitMs: wait, arrivals: [] },
        background: none,
      },
    },
  ]);
  return {
    workers: [{ id: 'a', capacity: 1, pools: Object.keys(waitMs) }],
    wantedProcesses: 1,
    pools: Object.fromEntries(pools) as ScalingPlan['pools'],
  };
}

const BOUND_MS = config.scaling.boundMs.standard;
const behind = planWith({ openai: BOUND_MS + 60_000, anthropic: 0 });

it('lines flow in as the backlog of their pool shrinks, and others are not held up', async () => {
  let plan: ScalingPlan | null = behind;
  const holdBack = createHoldBack(
    config,
    () => plan,
    () => false,
  );
  let clock = 0;
  const errors: unknown[] = [];
  const resolveModel = (name: string) => ({ model: name });
  const slots = createBatchSlots({
    find: () => findOpenClientBatches(fixture.database, 100),
    move: (batch) => moveBatch(batch, { ...fixture.options, holdBack, resolveModel }),
    mayGoOn: () => true,
    onFailure: (_batch, error) => errors.push(error),
    now: () => clock,
  });
  const held = await fixture.create([chatLine('a', { model: 'openai/gpt-6-luna' })]);
  const free = await fixture.create([chatLine('a', { model: 'anthropic/claude-haiku-5-5' })]);
  const tick = async (): Promise<number[]> => {
    clock += 1_000;
    await slots.look();
    await slots.settle();
    return Promise.all([held, free].map(async (id) => (await fixture.jobs(id)).length));
  };
  await tick();
  expect(await tick()).toEqual([0, 1]);
  expect(await tick()).toEqual([0, 1]);
  plan = planWith({ openai: BOUND_MS, anthropic: 0 });
  expect(await tick()).toEqual([1, 1]);
  expect(errors).toEqual([]);
});

it('lets everything in while there is no plan', () => {
  const call = { type: 'call' as const, model: 'openai/gpt-6-luna' };
  const ahead = { priority: 'standard' as const, timeLeftMs: 3_600_000, batchAllowed: true };
  const neverFits = () => false;
  expect(createHoldBack(config, () => behind, neverFits)(ahead, [call])).toBe(true);
  expect(createHoldBack(config, () => null, neverFits)(ahead, [call])).toBe(false);
});

it('does not hold what rides in a provider’s batch, however slow realtime is', async () => {
  const { catalogue } = createProviders(config);
  const database = { query: () => Promise.resolve([]) } as unknown as Database;
  const fitsBatch = openFitsBatch(config, { database, catalogue, onError: () => undefined });
  const holdBack = createHoldBack(config, () => behind, fitsBatch);
  const call = { type: 'call' as const, model: 'openai/gpt-6-luna' };
  const day = { priority: 'background' as const, timeLeftMs: 86_400_000, batchAllowed: true };
  expect(holdBack(day, [call])).toBe(false);
  expect(holdBack({ ...day, batchAllowed: false }, [call])).toBe(true);
  // Nobody knows of faster batches than twenty hours yet.
  expect(holdBack({ ...day, timeLeftMs: 19 * 3_600_000 }, [call])).toBe(true);
  // Of two models one rides, the other one would wait.
  expect(holdBack(day, [call, { ...call, model: 'openai/a-model-without-a-price' }])).toBe(true);

  const options = { ...fixture.options, holdBack, resolveModel: (name: string) => ({ model: name }) };
  const lines = [chatLine('a', { model: 'openai/gpt-6-luna' })];
  const [patient, private_] = [
    await fixture.create(lines, { windowMs: 86_400_000 }),
    await fixture.create(lines, { windowMs: 86_400_000 }),
  ];
  const expand = async (batchId: string): Promise<number> => {
    await fixture.move(batchId, options);
    await fixture.move(batchId, options);
    return (await fixture.jobs(batchId)).length;
  };
  expect(await expand(patient)).toBe(1);
  await updateTenant(fixture.database, tenantId, { batchAllowed: false });
  await expect(expand(private_)).rejects.toThrow(HeldBack);
  await updateTenant(fixture.database, tenantId, { batchAllowed: true });
});
