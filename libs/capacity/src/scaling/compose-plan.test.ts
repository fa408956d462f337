import { expect, test } from 'vitest';
import type { WorkerSign } from '@millrace/contracts';
import type { PoolReading } from '../book/pool-reading.ts';
import { composePlan } from './compose-plan.ts';
import type { ClassBacklog, PlanRequest } from './compose-plan.ts';
import { createDrainMeter } from './drain-meter.ts';

const NOW = 1_000_000;
const reading: PoolReading = {
  limits: {},
  underWay: 0,
  concurrency: null,
  meanHoldMs: null,
  parkedMs: 0,
  refusals: 0,
  high: false,
  fullest: 0,
  share: 1,
};
const sign = (id: string, pool: Partial<WorkerSign['pools'][string]> = {}): WorkerSign => ({
  id,
  capacity: 16,
  pools: { openai: { running: 0, ended: 100, holdMs: 500, oldestMs: 0, ...pool } },
});
const backlog = (waiting: number, change: Partial<ClassBacklog> = {}): ClassBacklog => ({
  pool: 'openai',
  priority: 'standard',
  waiting,
  due: waiting,
  running: 0,
  arrivals: waiting === 0 ? [] : [NOW - 1_000, NOW],
  ...change,
});
const plan = (change: Partial<PlanRequest>) =>
  composePlan({
    pools: ['openai', 'anthropic'],
    backlog: [],
    signs: [sign('a'), sign('b')],
    readings: new Map([['openai', reading]]),
    domains: new Map(),
    drain: createDrainMeter(),
    policy: {
      targetWaitMs: { realtime: 2_000, standard: 30_000, background: 600_000 },
      minConcurrency: 1,
      maxConcurrency: null,
    },
    processCapacity: 64,
    now: NOW,
    ...change,
  });

test('an idle fleet wants one process and grants every place that there is', () => {
  const idle = plan({});
  expect(idle.wantedProcesses).toBe(1);
  expect(idle.pools.openai).toMatchObject({ wanted: 1, granted: 32, bottleneck: 'minimum' });
  // No worker serves it.
  expect(idle.pools.anthropic).toMatchObject({ wanted: 1, granted: 1, ratePerSecond: null });
  expect(idle.workers[0]).toEqual({ id: 'a', capacity: 16, pools: ['openai'] });
});

test('processes are the wanted concurrency over what one carries, for the pool that wants most', () => {
  const busy = plan({ backlog: [backlog(6_000), backlog(10, { pool: 'anthropic' })] });
  // 6,000 calls of half a second within 30 s: 100 places, 16 in a process.
  expect(busy.pools.openai?.wanted).toBe(100);
  expect(busy.wantedProcesses).toBe(7);
});

test('without a worker one is wanted, and what it would carry is taken from the settings', () => {
  const alone = plan({
    signs: [],
    backlog: [backlog(10_000)],
    readings: new Map([['openai', { ...reading, meanHoldMs: 600 }]]),
  });
  expect(alone.workers).toEqual([]);
  expect(alone.wantedProcesses).toBe(Math.ceil(200 / 64));
  expect(plan({ signs: [] }).wantedProcesses).toBe(1);
});

test('a limit counts for what is left of it by others, over what a call takes of it', () => {
  const limits = {
    requests: { limit: 600, used: 100, outside: 0, free: 500 },
    // 300 a call, 30 % of the limit used by others: 70 calls a minute.
    tokens: { limit: 30_000, used: 30_000, outside: 9_000, free: 0 },
  };
  const limited = plan({
    backlog: [backlog(6_000)],
    readings: new Map([['openai', { ...reading, limits, fullest: 1 }]]),
  });
  const feedable = Math.ceil((70 / 60) * 0.5 * 1.25) + 1;
  expect(limited.pools.openai).toMatchObject({ wanted: feedable, granted: 4, bottleneck: 'limit' });
  expect(limited.wantedProcesses).toBe(1);
  expect(limited.pools.openai?.ratePerSecond).toBeCloseTo(70 / 60);
});

test('calls that are put off do not call for workers', () => {
  expect(plan({ backlog: [backlog(6_000, { due: 0 })] }).pools.openai?.wanted).toBe(1);
});

test('before a call has ended the oldest one that runs says how long calls take at least', () => {
  const one = (oldestMs: number) =>
    plan({
      signs: [sign('a', { ended: 0, holdMs: null, running: 16, oldestMs })],
      backlog: [backlog(600, { running: 16 })],
    }).pools.openai;
  expect(one(500)).toMatchObject({ wanted: 16, bottleneck: 'unmeasured', holdMs: null });
  expect(one(4_000)).toMatchObject({ wanted: 80, bottleneck: 'backlog', holdMs: 4_000 });
});

test('a class waits for what is more urgent and for itself, at the pool’s rate', () => {
  const { classes, ratePerSecond } = plan({
    backlog: [backlog(320, { priority: 'realtime' }), backlog(640)],
  }).pools.openai!;
  expect(ratePerSecond).toBe(64);
  expect([classes.realtime.waitMs, classes.standard.waitMs, classes.background.waitMs]).toEqual([
    5_000, 15_000, 15_000,
  ]);
});

test('under a lasting backlog the measured rate counts, and where nothing runs nothing is promised', () => {
  const drain = createDrainMeter();
  const at = (ended: number, ms: number): void => drain.take([sign('a', { ended })], ms);
  at(1_000, 0);
  at(1_000, 1_000);
  at(1_090, 16_000);
  const old = { arrivals: [NOW - 60_000, NOW] };
  expect(plan({ drain, backlog: [backlog(60, old)] }).pools.openai?.ratePerSecond).toBe(6);
  at(1_090, 40_000);
  expect(plan({ drain, backlog: [backlog(60, old)] }).pools.openai).toMatchObject({
    ratePerSecond: null,
    classes: { standard: { waitMs: null, oldestAgeMs: 60_000 } },
  });
});

test('a plan tells how the limits stand that it was made by, and nothing of a book that could not be read', () => {
  const limits = { requests: { limit: 540, used: 120, outside: 60, free: 360 } };
  const limited = { ...reading, limits, underWay: 3, concurrency: 40, share: 0.5 };
  const { pools } = plan({ readings: new Map([['openai', limited]]) });
  expect(pools.openai?.limits).toEqual([
    { dimension: 'requests', limit: 540, used: 120, outside: 60 },
    { dimension: 'concurrency', limit: 40, used: 3, outside: 0 },
  ]);
  expect(pools.openai?.limitShare).toBe(0.5);
  expect(pools.anthropic).not.toHaveProperty('limits');
});
