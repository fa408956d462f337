import type { PoolPlan, ScalingPlan } from '@millrace/contracts';
import { describe, expect, it } from 'vitest';
import { findPressure } from './backpressure.ts';
import { forecastJob, forecastNew } from './forecast.ts';

const none = { waiting: 0, oldestAgeMs: 0, waitMs: 0, arrivals: [] };
const hundred = {
  waiting: 100,
  oldestAgeMs: 10_000,
  waitMs: 20_000,
  arrivals: [0, 1_000, 2_000, 3_000, 10_000],
};
const pool = (change: Partial<PoolPlan> = {}): PoolPlan => ({
  wanted: 1,
  granted: 1,
  feedable: null,
  bottleneck: 'backlog',
  running: 1,
  holdMs: 2_000,
  ratePerSecond: 5,
  ...change,
  classes: { realtime: none, standard: hundred, background: none, ...change.classes },
});
const planOf = (pools: Record<string, PoolPlan>): ScalingPlan => ({ workers: [], wantedProcesses: 1, pools });

describe('the forecast of a job', () => {
  const plan = planOf({
    openai: pool({ classes: { realtime: { ...none, waiting: 7 }, standard: hundred, background: none } }),
  });

  it('counts what is more urgent, and what came before it in its class', () => {
    const at = (firstAt: number) =>
      forecastJob(plan, 'standard', [{ pool: 'openai', waiting: 1, firstAt }]).position;
    expect([at(0), at(1_000), at(1_500), at(10_000), at(99_000)]).toEqual([7, 32, 45, 107, 107]);
    expect(forecastJob(plan, 'realtime', [{ pool: 'openai', waiting: 1, firstAt: 5 }]).position).toBe(0);
  });

  it('tells when its calls have ended: those before it and its own at the pool’s rate, and the last one’s length', () => {
    const calls = [{ pool: 'openai', waiting: 4, firstAt: 1_000 }];
    expect(forecastJob(plan, 'standard', calls)).toEqual({ position: 32, etaMs: 7_000 + 2_000 });
  });

  it('is nothing ahead and one call’s length for a job whose calls all run', () => {
    const calls = [{ pool: 'openai', waiting: 0, firstAt: null }];
    expect(forecastJob(plan, 'standard', calls)).toEqual({ position: 0, etaMs: 2_000 });
  });

  it('takes the nearest of several pools for the position and the farthest for the end', () => {
    const two = planOf({ openai: pool(), anthropic: pool({ ratePerSecond: 1, holdMs: 500 }) });
    const calls = [
      { pool: 'openai', waiting: 1, firstAt: 3_000 },
      { pool: 'anthropic', waiting: 1, firstAt: 2_000 },
    ];
    expect(forecastJob(two, 'standard', calls)).toEqual({ position: 50, etaMs: 50_500 });
  });

  it('is not made unknown by a call that runs where none has ended yet', () => {
    const two = planOf({ openai: pool(), anthropic: pool({ holdMs: null, ratePerSecond: null }) });
    const waiting = { pool: 'openai', waiting: 4, firstAt: 1_000 };
    const running = { pool: 'anthropic', waiting: 0, firstAt: null };
    expect(forecastJob(two, 'standard', [waiting, running]).etaMs).toBe(
      forecastJob(two, 'standard', [waiting]).etaMs,
    );
    expect(forecastJob(two, 'standard', [running])).toEqual({ position: 0, etaMs: null });
  });

  it('promises no time where nobody knows the rate, and nothing for pools that nobody plans', () => {
    const still = planOf({ openai: pool({ ratePerSecond: null }) });
    const calls = [{ pool: 'openai', waiting: 1, firstAt: 0 }];
    expect(forecastJob(still, 'standard', calls)).toEqual({ position: 0, etaMs: null });
    expect(forecastJob(still, 'standard', [{ ...calls[0]!, pool: 'gone' }])).toEqual({
      position: null,
      etaMs: null,
    });
  });

  it('lets a new job come last, in the fullest pool that it may need', () => {
    const two = planOf({
      openai: pool(),
      anthropic: pool({ classes: { realtime: none, standard: none, background: none } }),
    });
    expect(forecastNew(two, 'standard', [])).toEqual({ position: 100, etaMs: 22_000 });
    expect(forecastNew(two, 'standard', ['anthropic'])).toEqual({ position: 0, etaMs: 2_000 });
  });
});

describe('the pressure of a backlog', () => {
  const bounds = { realtime: 10_000, standard: 60_000, background: 600_000 };
  const waits = (realtime: number | null, standard: number | null, background: number | null): PoolPlan => {
    const of = (waitMs: number | null) => ({ ...none, waiting: 1, oldestAgeMs: 90_000, waitMs });
    return pool({ classes: { realtime: of(realtime), standard: of(standard), background: of(background) } });
  };
  const refused = (plan: PoolPlan) =>
    (['realtime', 'standard', 'background'] as const).filter((priority) =>
      findPressure(planOf({ openai: plan }), bounds, priority, ['openai']),
    );

  it('lets everything in while every class keeps its bound', () => {
    expect(refused(waits(9_000, 59_000, 599_000))).toEqual([]);
  });

  it('keeps out what is less urgent than a class that waits too long, and that class itself', () => {
    expect(refused(waits(1_000, 2_000, 700_000))).toEqual(['background']);
    expect(refused(waits(1_000, 61_000, 61_000))).toEqual(['standard', 'background']);
  });

  it('refuses realtime last: only when twice its bound is missed', () => {
    expect(refused(waits(15_000, 15_000, 15_000))).toEqual(['standard', 'background']);
    expect(refused(waits(21_000, 21_000, 21_000))).toEqual(['realtime', 'standard', 'background']);
  });

  it('says when the backlog will be back within its bound', () => {
    const plan = planOf({ openai: waits(1_000, 85_000, 85_000) });
    expect(findPressure(plan, bounds, 'background', ['openai'])).toEqual({
      pool: 'openai',
      late: 'standard',
      retryAfterMs: 25_000,
    });
  });

  it('takes the age of the oldest where nobody can tell how long it will take', () => {
    expect(refused(waits(1_000, null, null))).toEqual(['standard', 'background']);
  });

  it('lets work in that has another pool to go to, or none that is known', () => {
    const plan = planOf({ openai: waits(1_000, 85_000, 85_000), anthropic: waits(0, 0, 0) });
    expect(findPressure(plan, bounds, 'standard', ['openai', 'anthropic'])).toBeNull();
    expect(findPressure(plan, bounds, 'standard', [])).toBeNull();
    expect(findPressure(plan, bounds, 'standard', ['openai'])).not.toBeNull();
  });

  it('does not take a pool that no worker serves for a way out', () => {
    const pools = { openai: waits(1_000, 85_000, 85_000), anthropic: waits(0, 0, 0) };
    const plan = { ...planOf(pools), workers: [{ id: 'a', capacity: 1, pools: ['openai'] }] };
    expect(findPressure(plan, bounds, 'standard', ['openai', 'anthropic'])?.pool).toBe('openai');
  });
});
