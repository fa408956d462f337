import { expect, it } from 'vitest';
import { createFitsBatch } from './fits-batch.ts';
import type { PatientJob, PlannedCall } from './fits-batch.ts';

const HOUR_MS = 3_600_000;
const fitsBatch = createFitsBatch({
  routes: new Map([
    ['cheap', { targets: [{ target: 'openai/a', weight: 1 }] }],
    ['private', { targets: [{ target: 'openai/a', weight: 1 }], batch: false }],
    [
      'mixed',
      {
        targets: [
          { target: 'openai/a', weight: 1 },
          { target: 'own/a', weight: 1 },
        ],
      },
    ],
    [
      'spare',
      {
        targets: [
          { target: 'openai/a', weight: 1 },
          { target: 'own/a', weight: 0 },
        ],
      },
    ],
  ]),
  hasBatches: (target) => target.startsWith('openai/'),
  saves: (target) => target !== 'openai/unpriced',
  takesMs: () => 2 * HOUR_MS,
  marginMs: () => HOUR_MS,
});
const fits = (call: PlannedCall, job: Partial<PatientJob> = {}): boolean =>
  fitsBatch(call, { lane: 'auto', timeLeftMs: 3 * HOUR_MS, batchAllowed: true, callsInARow: 1, ...job });

it('a call rides in a batch when there is time for it and for the way back', () => {
  expect(fits({ route: 'cheap' })).toBe(true);
  expect(fits({ model: 'openai/a' })).toBe(true);
  expect(fits({ route: 'cheap' }, { timeLeftMs: 3 * HOUR_MS - 1 })).toBe(false);
  expect(fits({ route: 'cheap' }, { callsInARow: 2 })).toBe(false);
  expect(fits({ route: 'cheap' }, { callsInARow: 2, timeLeftMs: 5 * HOUR_MS })).toBe(true);
});

it('without a deadline only a job that asks for the batch lane waits for one', () => {
  expect(fits({ route: 'cheap' }, { timeLeftMs: null })).toBe(false);
  expect(fits({ route: 'cheap' }, { timeLeftMs: null, lane: 'batch' })).toBe(true);
  expect(fits({ route: 'cheap' }, { lane: 'realtime' })).toBe(false);
});

it('what is forbidden, streamed, without a saving or perhaps without a batch API does not', () => {
  expect(fits({ route: 'cheap' }, { batchAllowed: false })).toBe(false);
  expect(fits({ route: 'private' })).toBe(false);
  expect(fits({ route: 'cheap', stream: true })).toBe(false);
  expect(fits({ model: 'openai/unpriced' })).toBe(false);
  expect(fits({ model: 'openai/unpriced' }, { lane: 'batch' })).toBe(true);
  expect(fits({ route: 'mixed' })).toBe(false);
  expect(fits({ route: 'spare' })).toBe(true);
  expect(fits({ route: 'unknown' })).toBe(false);
});
