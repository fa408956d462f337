import type { WorkerSign } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { createDrainMeter } from './drain-meter.ts';

const sign = (id: string, ended: number): WorkerSign => ({
  id,
  capacity: 4,
  pools: { openai: { running: 1, ended, holdMs: 100, oldestMs: 0 } },
});

test('the rate is what all workers ended together, and is not known before five seconds', () => {
  const drain = createDrainMeter();
  drain.take([sign('a', 500), sign('b', 7)], 0);
  drain.take([sign('a', 510), sign('b', 17)], 4_000);
  expect(drain.perSecond('openai')).toBeNull();
  drain.take([sign('a', 530), sign('b', 27)], 10_000);
  expect(drain.perSecond('openai')).toBe(5);
  expect(drain.endedWithin('openai', 6_000)).toBe(30);
});

test('a worker that comes, goes or begins anew takes nothing away and adds only what it ended since it was first seen', () => {
  const drain = createDrainMeter();
  drain.take([sign('a', 100)], 0);
  drain.take([sign('b', 900)], 5_000);
  drain.take([sign('a', 3), sign('b', 910)], 10_000);
  expect(drain.perSecond('openai')).toBe(1);
  expect(drain.perSecond('unknown')).toBe(0);
});

test('what is older than the window does not count', () => {
  const drain = createDrainMeter();
  for (let second = 0; second <= 100; second += 1)
    drain.take([sign('a', Math.min(second, 50) * 10)], second * 1_000);
  expect(drain.perSecond('openai')).toBe(0);
  expect(drain.endedWithin('openai', 60_000)).toBe(100);
});
