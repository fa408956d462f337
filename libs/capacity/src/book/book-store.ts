import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { arrivalSpreadMs, dimensions } from '../domain/domain-limits.ts';
import type { Amounts, Dimension, DomainLimits } from '../domain/domain-limits.ts';
import { countingOf } from '../domain/observed-limits.ts';
import type { ObservedLimits } from '../domain/observed-limits.ts';
import type { BookedAmount, Booking, Reservation } from './booking.ts';
import { dimensionLetters, dimensionOfLetter } from './dimension-letters.ts';
import { observeScript } from './observe-script.ts';
import { parkScript } from './park-script.ts';
import { readParameters, toPoolReading } from './pool-reading.ts';
import type { PoolReading } from './pool-reading.ts';
import { readScript } from './read-script.ts';
import { refuseScript } from './refuse-script.ts';
import { renewScript } from './renew-script.ts';
import { reserveScript } from './reserve-script.ts';
import { runScript } from './run-script.ts';
import { settleScript } from './settle-script.ts';

/** A call that asks for a place. */
export interface ReserveRequest {
  pool: string;
  limits: DomainLimits;
  amounts: Amounts;
  id: string;
  horizonMs: number;
  /** Of each limit, what may be filled. */
  share: number;
  outputAfterMs: number;
  /** Name of the call over all its tries, '' for one that does not come back, and for how long it has existed. */
  caller: string;
  ageMs: number;
  /** Its place in the order of the pool, -1 for one that has none. */
  place: number;
  /** The process's monotonic clock as the request leaves. */
  asOf: number;
  onHighUse: () => void;
}

/** The book in Redis: the scripts with their parameters and answers. Everything throws when Redis is away. */
export interface BookStore {
  reserve(request: ReserveRequest): Promise<{ reservation: Reservation; waitMs: number }>;
  /** `lateMs`: how much later than the arrival spread allows for the call came. */
  settle(
    booking: Booking,
    taken: Amounts,
    how: { wasSent: boolean; lateMs: number; isAgain: boolean },
    limits: DomainLimits,
  ): Promise<void>;
  renew(bookings: readonly Booking[]): Promise<void>;
  observe(
    pool: string,
    limits: DomainLimits,
    answer: { observed: ObservedLimits; booking: Booking | undefined; wasOvertaken: boolean },
  ): Promise<{ dimension: Dimension; from: number; to: number }[]>;
  park(pool: string, forMs: number): Promise<void>;
  /** True when the pool was not parked before. */
  refuse(
    pool: string,
    limits: DomainLimits,
    refusal: { forMs: number; booking: Booking | undefined; slowDown: boolean },
  ): Promise<boolean>;
  parkedFor(pool: string): Promise<number>;
  read(pool: string, limits: DomainLimits): Promise<PoolReading>;
}

const LONGEST_PARK_MS = 15 * 60_000;
/** As in the scripts. */
const SLICE_MS = 50;
const BURST_MS = 5_000;
const HIGH_USE_SHARE = 0.8;
/** Anthropic rounds remaining tokens to a thousand. */
const ROUNDED_BY = 500;

/** Opens the store. `leaseMs` as in the capacity book's options. */
export function createBookStore(options: { redis: Redis; names: KeyNames; leaseMs: number }): BookStore {
  const { redis, names, leaseMs } = options;
  const keysOf = (pool: string): string[] => [
    names.book(pool),
    names.bookWindow(pool),
    names.leases(pool),
    names.parked(pool),
  ];

  return {
    async reserve(request) {
      const { pool, limits, amounts, id, share, horizonMs, outputAfterMs, asOf, onHighUse } = request;
      const parameters = dimensions.flatMap((dimension) => {
        const limit = limits[dimension];
        if (limit === undefined) return [];
        const afterMs = dimension === 'outputTokens' ? Math.round(outputAfterMs) : 0;
        return [dimensionLetters[dimension], limit, amounts[dimension] ?? 0, afterMs];
      });
      const answer = (await runScript(redis, reserveScript, keysOf(pool), [
        id,
        horizonMs,
        leaseMs,
        ...windowOf(limits),
        limits.burstMs ?? BURST_MS,
        limits.concurrency ?? -1,
        share,
        limits.highUseShare ?? HIGH_USE_SHARE,
        request.caller,
        Math.round(request.ageMs),
        request.place,
        ...parameters,
      ])) as [string, ...(string | number)[]];
      if (answer[0] === 'wait') {
        const reason = String(answer[2]);
        return {
          reservation: {
            verdict: 'wait',
            waitMs: Number(answer[1]),
            poolWaitMs: Number(answer[3]),
            reason: isOtherReason(reason) ? reason : dimensionOfLetter(reason),
            keepsTurn: answer[4] === 1,
            ...(answer[5] === 1 ? { isLearned: true } : {}),
          },
          waitMs: 0,
        };
      }
      if (answer[0] === 'too_large') {
        const dimension = dimensionOfLetter(String(answer[1]));
        const misfit = { dimension, limit: Number(answer[2]), requested: amounts[dimension] ?? 0 };
        const told = answer[3] === 1 ? { isLearned: true } : {};
        return { reservation: { verdict: 'too_large', ...misfit, ...told }, waitMs: 0 };
      }
      const waitMs = Number(answer[1]);
      if (answer[3] === 1) onHighUse();
      const booked: BookedAmount[] = [];
      for (let at = 4; at < answer.length; at += 7) {
        const [slice, limit, ownUse, debt, corrected, paceMs] = answer.slice(at + 1, at + 7).map(Number) as [
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        const dimension = dimensionOfLetter(String(answer[at]));
        const amount = amounts[dimension] ?? 0;
        booked.push({ dimension, amount, slice, limit, ownUse, debt, corrected, paceMs });
      }
      const departBy = asOf + waitMs + (limits.arrivalSpreadMs ?? arrivalSpreadMs);
      const booking: Booking = { pool, id, booked, departsAt: Number(answer[2]), departBy };
      return { reservation: { verdict: 'leave', booking }, waitMs };
    },

    async settle(booking, taken, { wasSent, lateMs, isAgain }, limits) {
      const parameters = booking.booked.flatMap(({ dimension, slice, amount, limit, paceMs }) => [
        dimensionLetters[dimension],
        slice,
        amount,
        taken[dimension] ?? amount,
        dimension === 'outputTokens' ? 'now' : slice + Math.ceil(lateMs / SLICE_MS),
        limits[dimension] ?? limit,
        paceMs / limit,
      ]);
      await runScript(redis, settleScript, keysOf(booking.pool).slice(0, 3), [
        booking.id,
        booking.departsAt,
        ...windowOf(limits),
        wasSent ? 1 : 0,
        isAgain ? 1 : 0,
        ...parameters,
      ]);
    },

    async renew(bookings) {
      const byPool = Map.groupBy(bookings, ({ pool }) => pool);
      for (const [pool, group] of byPool) {
        const ids = group.map(({ id }) => id);
        await runScript(redis, renewScript, [names.leases(pool)], [leaseMs, ...ids]);
      }
    },

    async observe(pool, limits, { observed, booking, wasOvertaken }) {
      const [windowMs] = windowOf(limits);
      const parameters = dimensions.flatMap((dimension) => {
        const configured = limits[dimension];
        const reading = observed[dimension];
        if (configured === undefined || reading?.limit == null) return [];
        const own = booking?.booked.find((each) => each.dimension === dimension);
        const least = dimension === 'requests' ? 2 : ROUNDED_BY;
        return [
          dimensionLetters[dimension],
          configured,
          limits.fixed === true ? 0 : 1,
          reading.limit,
          reading.remaining ?? -1,
          wasOvertaken ? -1 : (own?.ownUse ?? -1),
          own?.debt ?? -1,
          own?.corrected ?? -1,
          countingOf(reading, windowMs) ?? '',
          Math.ceil(Math.max(least, reading.limit / 100)),
        ];
      });
      if (parameters.length === 0) return [];
      const answer = (await runScript(
        redis,
        observeScript,
        [names.book(pool)],
        [windowMs, booking?.departsAt ?? -1, ...parameters],
      )) as (string | number)[];
      const changes: { dimension: Dimension; from: number; to: number }[] = [];
      for (let at = 0; at < answer.length; at += 3) {
        const dimension = dimensionOfLetter(String(answer[at]));
        changes.push({ dimension, from: Number(answer[at + 1]), to: Number(answer[at + 2]) });
      }
      return changes;
    },

    async park(pool, forMs) {
      await runScript(redis, parkScript, [names.parked(pool)], [parkOf(forMs)]);
    },

    async refuse(pool, limits, { forMs, booking, slowDown }) {
      const [windowMs] = windowOf(limits);
      const parameters = (booking?.booked ?? []).flatMap(({ dimension, limit, ownUse }) => [
        dimensionLetters[dimension],
        limits[dimension] ?? limit,
        ownUse,
      ]);
      const keys = [names.parked(pool), names.book(pool)];
      const burst = limits.burstMs ?? BURST_MS;
      const departed = slowDown && booking ? booking.departsAt : -1;
      const general = [parkOf(forMs), windowMs, burst, departed];
      return (await runScript(redis, refuseScript, keys, [...general, ...parameters])) === 1;
    },

    parkedFor: async (pool) => Math.max(0, await redis.pttl(names.parked(pool))),

    async read(pool, limits) {
      const parameters = [...windowOf(limits), ...readParameters(limits)];
      return toPoolReading(await runScript(redis, readScript, keysOf(pool), parameters), limits);
    },
  };
}

const otherReasons = ['parked', 'concurrency', 'turn'] as const;

function isOtherReason(reason: string): reason is (typeof otherReasons)[number] {
  return (otherReasons as readonly string[]).includes(reason);
}

function parkOf(forMs: number): number {
  return Math.min(Math.max(Math.ceil(forMs), 1), LONGEST_PARK_MS);
}

/** The vendor's window and how much longer ours is. */
function windowOf(limits: DomainLimits): [number, number] {
  return [limits.windowMs ?? 60_000, limits.arrivalSpreadMs ?? arrivalSpreadMs];
}
