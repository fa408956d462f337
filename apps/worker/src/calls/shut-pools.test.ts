import { describe, expect, it } from 'vitest';
import { createShutPools } from './shut-pools.ts';

function open() {
  const pauses: { pool: string; forMs: number }[] = [];
  let now = 0;
  const pools = createShutPools({ pausePool: (pool, forMs) => pauses.push({ pool, forMs }), now: () => now });
  const close = (pool: string, times: number): void => {
    for (let time = 0; time < times; time += 1) pools.noteClosed(pool, true);
  };
  const pass = (ms: number): void => {
    now += ms;
  };
  return { pools, close, pass, pauses };
}

describe('a pool in which every step finds its target closed', () => {
  it('pauses for the fleet, and again for as long as that stays so', () => {
    const { close, pass, pauses } = open();
    close('a', 20);
    expect(pauses).toEqual([]);
    pass(5_000);
    close('a', 1);
    expect(pauses).toEqual([{ pool: 'a', forMs: 2_000 }]);
    pass(2_000);
    close('a', 1);
    expect(pauses).toHaveLength(2);
  });

  it('goes on at once when a call gets through', () => {
    const { close, pass, pauses, pools } = open();
    close('a', 20);
    pass(5_000);
    pools.noteOpen('a');
    close('a', 20);
    expect(pauses).toEqual([]);
  });
});

it('a pool with another target that works, or from which steps can leave, does not pause', () => {
  const { close, pass, pauses, pools } = open();
  for (let second = 0; second < 60; second += 1) {
    close('a', 50);
    pools.noteOpen('a');
    close('b', 50);
    pools.noteClosed('b', false);
    pass(1_000);
  }
  expect(pauses).toEqual([]);
});

it('a few steps that ask for a closed target pause nothing, nor do those of another pool', () => {
  const { close, pass, pauses } = open();
  close('a', 6);
  close('b', 20);
  pass(10_000);
  close('a', 1);
  expect(pauses).toEqual([]);
});
