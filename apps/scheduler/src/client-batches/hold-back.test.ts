import { loadConfig } from '@millrace/config';
import type { ScalingPlan } from '@millrace/contracts';
import { findOpenClientBatches } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createBatchSlots } from './batch-slots.ts';
import { createHoldBack } from './hold-back.ts';
import { moveBatch } from './move-batch.ts';
import { chatLine, openBatchFixture } from './testing/open-batch-fixture.ts';
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
  const holdBack = createHoldBack(config, () => plan);
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
  expect(createHoldBack(config, () => behind)('standard', [call])).toBe(true);
  expect(createHoldBack(config, () => null)('standard', [call])).toBe(false);
});
