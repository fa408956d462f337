import { expect, it } from 'vitest';
import { quickestMs } from './quickest-ms.ts';

it('begins no further round after one that was quick enough, and three at most', async () => {
  const rounds: number[] = [];
  const take = (...took: number[]) =>
    quickestMs(100, async (round) => (rounds.push(round), took[round - 1]!));
  expect(await take(500, 90, 10)).toBe(90);
  expect(rounds.splice(0)).toEqual([1, 2]);
  expect(await take(500, 300, 400)).toBe(300);
  expect(rounds).toEqual([1, 2, 3]);
});
