import { expect, it } from 'vitest';
import { redisFaults } from './redis-faults.ts';
import { storeRuns } from './stores.ts';

it('selects by the name that is printed', () => {
  const names = (only: string | null): string[] =>
    storeRuns({ seed: 3, seeds: 2, only }, redisFaults).map(({ fault, seed }) => `${fault.kind} ${seed}`);
  expect(names('redis.kill-s4')).toEqual(['redis.kill 4']);
  expect(names('redis.kill').toSorted()).toEqual(['redis.kill 3', 'redis.kill 4']);
  expect(names('redis.kill-s5')).toEqual([]);
  expect(names(null)).toHaveLength(2 * redisFaults.length);
});
