import type { TestClock } from './clocked-redis.ts';

/** A request as the account has seen it. */
export interface Arrival {
  by: string;
  at: number;
  wasLetIn: boolean;
}

/** What the vendor answers: whether it was let in, when to come back, and what is left by the headers. */
export interface Admission {
  wasLetIn: boolean;
  retryAfterMs: number;
  remaining: number;
}

/** An account that lets `limit` requests into any window. Refused ones count, too, but no header tells of them. */
export function createSlidingAccount(options: { limit: number; windowMs: number; clock: TestClock }) {
  const { limit, windowMs, clock } = options;
  const arrivals: Arrival[] = [];
  return {
    /** All of them, in order. */
    arrivals: arrivals as readonly Arrival[],
    arrive: (by: string): Admission => {
      const inside = arrivals.filter(({ at }) => at > clock.now - windowMs);
      const used = inside.filter(({ wasLetIn }) => wasLetIn).length;
      const wasLetIn = inside.length < limit;
      const retryAfterMs = Math.max(1, (inside[0]?.at ?? 0) + windowMs - clock.now);
      arrivals.push({ by, at: clock.now, wasLetIn });
      return { wasLetIn, retryAfterMs, remaining: Math.max(0, limit - used - (wasLetIn ? 1 : 0)) };
    },
  };
}
