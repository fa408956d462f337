import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareOf } from './share-of.ts';

const four = ['a', 'b', 'c', 'd'].map((id) => ({ id, capacity: 16 }));
const sharesOf = (granted: number, workers = four) => workers.map(({ id }) => shareOf(granted, workers, id));

test('the shares are even and add up to what was granted', () => {
  expect(sharesOf(64)).toEqual([16, 16, 16, 16]);
  expect(sharesOf(30)).toEqual([7, 7, 8, 8]);
  expect(sharesOf(400)).toEqual([16, 16, 16, 16]);
});

test('what a small worker cannot take goes to the others', () => {
  expect(
    sharesOf(30, [
      { id: 'big', capacity: 64 },
      { id: 'small', capacity: 4 },
    ]),
  ).toEqual([26, 4]);
});

test('every worker serves every pool, however little was granted', () => {
  expect(sharesOf(2)).toEqual([1, 1, 1, 1]);
});

test('a worker that is not counted yet is told nothing', () => {
  expect(shareOf(8, four, 'new')).toBeNull();
});

test('whatever the fleet, the shares add up and nobody gets more than it carries', () => {
  const fleet = fc.uniqueArray(fc.record({ id: fc.uuid(), capacity: fc.integer({ min: 1, max: 100 }) }), {
    selector: ({ id }) => id,
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(fleet, fc.integer({ min: 1, max: 3_000 }), (workers, granted) => {
      const shares = workers.map(({ id }) => shareOf(granted, workers, id) ?? 0);
      const capacity = workers.reduce((sum, worker) => sum + worker.capacity, 0);
      expect(shares.every((share, index) => share >= 1 && share <= workers[index]!.capacity)).toBe(true);
      const sum = shares.reduce((one, other) => one + other, 0);
      expect(sum).toBe(Math.max(Math.min(granted, capacity), Math.min(sum, workers.length)));
    }),
  );
});
