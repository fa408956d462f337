import { createFitsBatch } from '@millrace/capacity';
import type { PlanNode, ScalingPlan } from '@millrace/contracts';
import { expect, it } from 'vitest';
import { createBackpressure } from './backpressure.ts';
import type { ArrivingJob } from './backpressure.ts';

const HOUR_MS = 3_600_000;
const boundMs = { realtime: 600_000, standard: 2 * HOUR_MS, background: 24 * HOUR_MS };
const none = { waiting: 0, oldestAgeMs: 0, waitMs: 0, arrivals: [] };
const realtimeIsSlow: ScalingPlan = {
  workers: [{ id: 'a', capacity: 1, pools: ['openai'] }],
  wantedProcesses: 1,
  pools: {
    openai: {
      wanted: 1,
      granted: 1,
      feedable: null,
      bottleneck: 'backlog',
      running: 1,
      holdMs: 1_000,
      ratePerSecond: 1,
      classes: {
        realtime: { waiting: 5, oldestAgeMs: HOUR_MS, waitMs: HOUR_MS, arrivals: [] },
        standard: none,
        background: none,
      },
    },
  },
};
const call: PlanNode = { type: 'call', model: 'openai/a', prompt: 'x' };
const backpressure = createBackpressure({
  currentPlan: () => realtimeIsSlow,
  poolsOf: () => ['openai'],
  fitsBatch: createFitsBatch({
    routes: new Map(),
    hasBatches: () => true,
    saves: () => true,
    takesMs: () => 10 * HOUR_MS,
    marginMs: () => HOUR_MS,
  }),
  boundMs,
});
const admit = (change: Partial<ArrivingJob>) => () =>
  backpressure({
    priority: 'background',
    plan: call,
    lane: 'auto',
    timeLeftMs: 24 * HOUR_MS,
    batchAllowed: true,
    ...change,
  });

it('lets in what rides in a provider’s batch, however far realtime is behind', () => {
  expect(admit({})).not.toThrow();
  expect(admit({ lane: 'batch', timeLeftMs: null })).not.toThrow();
  const chain = (length: number): PlanNode => ({
    type: 'chain',
    steps: Array.from({ length }, (_each, index) => ({ name: `s${index}`, ...call })),
  });
  expect(admit({ plan: chain(2) })).not.toThrow();
  expect(admit({ plan: chain(3) })).toThrow('waits for longer than it may');
});

it.each([
  ['a job without a deadline', { timeLeftMs: null }],
  ['a job with too little time for a batch', { timeLeftMs: 10 * HOUR_MS }],
  ['a job in realtime', { lane: 'realtime' as const }],
  ['a tenant whose data must not lie in a batch', { batchAllowed: false }],
  ['an answer that is read while it comes', { plan: { ...call, stream: true } as PlanNode }],
])('keeps %s outside', (_what, change) => {
  expect(admit(change)).toThrow('waits for longer than it may');
});
