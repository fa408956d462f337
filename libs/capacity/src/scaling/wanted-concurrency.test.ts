import { describe, expect, it } from 'vitest';
import { wantedConcurrency } from './wanted-concurrency.ts';
import type { PoolDemand, ScalingPolicy } from './wanted-concurrency.ts';

const policy: ScalingPolicy = {
  targetWaitMs: { realtime: 2_000, standard: 30_000, background: 600_000 },
  minConcurrency: 1,
  maxConcurrency: null,
};
const idle: PoolDemand = {
  due: { realtime: 0, standard: 0, background: 0 },
  running: 0,
  holdMs: 1_000,
  feedPerSecond: null,
  concurrencyLimit: null,
  fullest: 0,
  parkedMs: 0,
  capacity: 64,
};
const decide = (demand: Partial<PoolDemand>, change: Partial<ScalingPolicy> = {}) =>
  wantedConcurrency({ ...idle, ...demand }, { ...policy, ...change });
const standard = (due: number) => ({ realtime: 0, standard: due, background: 0 });

describe('what a pool wants', () => {
  it('is the minimum while nothing waits, and the live workers keep all their places', () => {
    expect(decide({})).toEqual({ wanted: 1, granted: 64, feedable: null, bottleneck: 'minimum' });
    expect(decide({}, { minConcurrency: 5 }).wanted).toBe(5);
  });

  it('takes each class within its target wait, with what is more urgent before it', () => {
    expect(decide({ due: { realtime: 100, standard: 0, background: 0 } }).wanted).toBe(50);
    expect(decide({ due: standard(3_000) })).toMatchObject({ wanted: 100, bottleneck: 'backlog' });
    expect(decide({ due: { realtime: 30, standard: 570, background: 12_000 } }).wanted).toBe(21);
  });

  it('is never more than there is to run', () => {
    expect(decide({ due: { realtime: 3, standard: 0, background: 0 }, holdMs: 60_000 }).wanted).toBe(3);
  });

  it('keeps what runs, so that a fleet that keeps up with its work is not taken apart', () => {
    expect(decide({ running: 40, due: standard(10) })).toMatchObject({ wanted: 40, bottleneck: 'under_way' });
  });

  it('is never above what the limits can feed, by Little’s law and a small margin', () => {
    // 10 calls a second that take 3 s each keep 30 places busy.
    const decided = decide({ due: standard(100_000), holdMs: 3_000, feedPerSecond: 10, running: 60 });
    expect(decided).toMatchObject({ wanted: 39, feedable: 39, bottleneck: 'limit' });
    expect(decide({ due: standard(100_000), concurrencyLimit: 12 })).toMatchObject({
      wanted: 12,
      granted: 12,
      bottleneck: 'limit',
    });
  });

  it('is never above the maximum, and the live workers do not run more either', () => {
    expect(decide({ due: standard(100_000) }, { maxConcurrency: 20 })).toMatchObject({
      wanted: 20,
      granted: 20,
      bottleneck: 'maximum',
    });
  });

  it('does not grow while nobody knows how long a call takes, nor while nothing may leave', () => {
    const burst = { due: standard(100_000), capacity: 16 };
    expect(decide({ ...burst, holdMs: null })).toMatchObject({ wanted: 16, bottleneck: 'unmeasured' });
    expect(decide({ ...burst, parkedMs: 500 })).toMatchObject({ wanted: 16, bottleneck: 'paused' });
    expect(decide({ ...burst }).wanted).toBeGreaterThan(16);
  });

  it('wants a first worker when there is none', () => {
    expect(decide({ due: standard(10), holdMs: null, capacity: 0 }).wanted).toBe(1);
    expect(decide({ due: standard(10), holdMs: null, capacity: 0 }).granted).toBe(1);
  });
});

describe('what the live workers are granted', () => {
  const limited = { holdMs: 2_000, feedPerSecond: 4, due: standard(500) };

  it('is all that they carry, as long as no limit is nearly used up', () => {
    expect(decide({ ...limited, fullest: 0.5 }).granted).toBe(64);
    expect(decide({ due: standard(500) }).granted).toBe(64);
  });

  it('is what the limit can feed when it is, and what it lets go within a second, which waits in place', () => {
    expect(decide({ ...limited, fullest: 0.85 })).toMatchObject({ feedable: 11, granted: 16 });
  });

  it('is at least one', () => {
    expect(decide({ ...limited, feedPerSecond: 0, fullest: 1 }).granted).toBe(1);
    expect(decide({ capacity: 0 }).granted).toBe(1);
  });
});
