import { expect, it } from 'vitest';
import { workedMs } from './worked-ms.ts';

const every = (ms: number, fromAt: number, toAt: number): number[] =>
  Array.from({ length: (toAt - fromAt) / ms }, (_, index) => fromAt + index * ms);

it('is all of the time of a process that goes on', () => {
  expect(workedMs(every(50, 0, 10_000), 1_010, 6_020)).toBe(5_010);
  expect(workedMs(every(50, 0, 10_000).toReversed(), 1_000, 6_000)).toBe(5_000);
});

it('leaves out the time in which a process stood still, but for what any gap may last', () => {
  expect(workedMs([...every(50, 0, 2_050), ...every(50, 5_000, 6_000)], 1_000, 6_000)).toBe(
    1_000 + 300 + 1_000,
  );
  expect(workedMs([], 1_000, 6_000)).toBe(300);
  expect(workedMs([], 1_000, 1_200)).toBe(200);
});
