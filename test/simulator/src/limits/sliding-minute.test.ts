import { describe, expect, it } from 'vitest';
import { goDuration } from './limit-headers.ts';
import { createSlidingMinute } from './sliding-minute.ts';

describe('a sliding minute', () => {
  it('holds what was added less than a minute ago', () => {
    const window = createSlidingMinute(() => 60_000);
    window.add(0, 5);
    window.add(30_000, 7);
    expect(window.sum(59_999)).toBe(12);
    expect(window.sum(60_000)).toBe(7);
    expect(window.sum(90_000)).toBe(0);
  });

  it('remembers the fullest minute that ever was, across any bound of the clock', () => {
    const window = createSlidingMinute(() => 60_000);
    for (let second = 0; second < 120; second += 1)
      window.add(second * 1_000, second >= 50 && second < 70 ? 10 : 1);
    expect(window.fullest()).toBe(20 * 10 + 40);
  });

  it('says exactly when an amount fits', () => {
    const window = createSlidingMinute(() => 60_000);
    window.add(0, 4);
    window.add(10_000, 4);
    expect(window.waitFor(20_000, 2, 10)).toBe(0);
    expect(window.waitFor(20_000, 3, 10)).toBe(40_000);
    expect(window.waitFor(20_000, 7, 10)).toBe(50_000);
    expect(window.waitFor(20_000, 11, 10)).toBe(Number.POSITIVE_INFINITY);
    expect(window.emptyIn(20_000)).toBe(50_000);
  });

  it('agrees with a count by hand over random arrivals', () => {
    const window = createSlidingMinute(() => 60_000);
    const arrivals: { atMs: number; amount: number }[] = [];
    let atMs = 0;
    let fullest = 0;
    for (let index = 0; index < 3_000; index += 1) {
      atMs += (index * 7_919) % 101;
      const amount = 1 + ((index * 104_729) % 13);
      window.add(atMs, amount);
      arrivals.push({ atMs, amount });
      const held = arrivals
        .filter((each) => each.atMs > atMs - 60_000)
        .reduce((sum, each) => sum + each.amount, 0);
      fullest = Math.max(fullest, held);
      if (index % 97 === 0) expect(window.sum(atMs)).toBe(held);
    }
    expect(window.fullest()).toBe(fullest);
  });
});

describe('reset headers', () => {
  it.each([
    [19.2, '20ms'],
    [1_000, '1s'],
    [1_500, '1.5s'],
    [360_000, '6m0s'],
    [61_500, '1m1.5s'],
  ])('write %d ms as %s', (durationMs, text) => {
    expect(goDuration(durationMs)).toBe(text);
  });
});
