import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';

/** What a call will take from its pool. */
export interface CallSize {
  inputTokens: number;
  maxOutputTokens: number;
}

/** `leave`: the call may go. `wait`: nothing was booked; come back in `waitMs`. */
export type Reservation = { verdict: 'leave' } | { verdict: 'wait'; waitMs: number };

/**
 * The book of what a pool may send. Today it knows one thing that the whole fleet shares: until when a provider asked us
 * to send nothing. Without Redis it lets calls go: providers defend themselves, and work must not stand still.
 */
export interface CapacityBook {
  reserve(pool: string, size: CallSize): Promise<Reservation>;
  /** Lets nothing of the pool leave for a time; a longer time that is set already stays. Never throws. */
  park(pool: string, forMs: number): Promise<void>;
}

const LONGEST_PARK_MS = 15 * 60_000;

/** `redis` is a connection of the role `producer`. */
export function createCapacityBook(options: {
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
}): CapacityBook {
  const { redis, names, onError } = options;
  return {
    async reserve(pool) {
      try {
        const waitMs = await redis.pttl(names.parked(pool));
        return waitMs > 0 ? { verdict: 'wait', waitMs } : { verdict: 'leave' };
      } catch (error) {
        onError(error);
        return { verdict: 'leave' };
      }
    },
    async park(pool, forMs) {
      const untilMs = Math.min(Math.max(Math.ceil(forMs), 1), LONGEST_PARK_MS);
      const key = names.parked(pool);
      try {
        // NX keeps a park that exists; GT lets only a longer one replace it.
        const set = await redis.set(key, '1', 'PX', untilMs, 'NX');
        if (set === null) await redis.pexpire(key, untilMs, 'GT');
      } catch (error) {
        onError(error);
      }
    },
  };
}
