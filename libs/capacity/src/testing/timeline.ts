import type { Redis } from 'ioredis';
import type { CapacityBookOptions } from '../book/capacity-book.ts';
import { withClock } from './clocked-redis.ts';
import type { TestClock } from './clocked-redis.ts';

/** What happens at its time, on a clock that jumps from one such moment to the next: minutes pass at once, and always alike. */
export interface Timeline {
  readonly clock: TestClock;
  /** Lets something happen; in the past means at once. */
  at: (at: number, happen: () => Promise<void>) => void;
  after: (ms: number, happen: () => Promise<void>) => void;
  /** Goes on until an instant. What happens is awaited before the next. */
  runUntil: (at: number) => Promise<void>;
  /** Below 1, the same numbers in every run. */
  random: () => number;
  /** Options of a book that goes by this clock and is told its calls before they leave, at `departsAt`. */
  bookOptions: (redis: Redis, prefix: string) => Partial<CapacityBookOptions>;
}

/** Begins with a minute, and a part of the window. */
export function createTimeline(startAt = Date.UTC(2030, 0, 1)): Timeline {
  const clock = { now: startAt };
  const due: { at: number; happen: () => Promise<void> }[] = [];
  let seed = 1;
  const at: Timeline['at'] = (when, happen) => void due.push({ at: when, happen });
  return {
    clock,
    at,
    after: (ms, happen) => at(clock.now + ms, happen),
    async runUntil(end) {
      for (;;) {
        due.sort((one, other) => one.at - other.at);
        const next = due[0];
        if (!next || next.at > end) return;
        due.shift();
        clock.now = Math.max(clock.now, next.at);
        await next.happen();
      }
    },
    random: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
    bookOptions: (redis, prefix) => ({
      redis: withClock(redis, clock, `${prefix}:clock`),
      now: () => clock.now,
      pause: async () => undefined,
    }),
  };
}
