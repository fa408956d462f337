import { randomBytes } from 'node:crypto';
import { setTimeout as pauseFor } from 'node:timers/promises';
import type { Priority } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { amountsOf, isUnlimited, misfitOf, settledAmounts } from '../domain/domain-limits.ts';
import type { CallEnd, CallSize, DomainLimits } from '../domain/domain-limits.ts';
import type { ObservedLimits } from '../domain/observed-limits.ts';
import type { BookHooks } from './book-hooks.ts';
import { bookedAmounts } from './booking.ts';
import type { Booking, Reservation } from './booking.ts';
import { createBookStore } from './book-store.ts';
import type { PoolReading } from './pool-reading.ts';
import { createClosings } from './closings.ts';
import { createStandInBook } from './stand-in-book.ts';

/** How a call wants to be booked. */
export interface ReserveOptions {
  /** The longest wait that is worth holding a booking for. Default 2,000, at most 10,000. */
  horizonMs?: number;
  /** `background` leaves the last part of each limit to the others. */
  priority?: Priority;
  /**
   * Names the call over all its tries, with how long it has existed: one that smaller calls have left no room for a window
   * long is then saved room.
   */
  caller?: { name: string; ageMs: number };
  /**
   * The caller's place in the order of the pool, lower ones first: when the pool has room again, nobody books before callers of
   * earlier places whom it had no room for, unless they do not come.
   */
  place?: number;
  /** Ends the wait; nothing stays booked. */
  signal?: AbortSignal;
}

/**
 * The book of what the fleet may send to each pool (a capacity domain). All processes with the same Redis and key names
 * share it. A pool that no limits are configured for only knows parking. While Redis is away calls go on at this process's
 * share of the limits ({@link createStandInBook}). No function but `read`, `quote` and `reserve` costs the caller a result it waits
 * for, and none throws.
 */
export interface CapacityBook {
  /**
   * Books a call and resolves when it may leave, if that is within the horizon. One round trip. A wait that ends late (the
   * process was busy) is booked anew, so that the call does not arrive in a minute it was not booked in.
   */
  reserve(pool: string, size: CallSize, options?: ReserveOptions): Promise<Reservation>;
  /** How long a call would have to wait, in ms; books nothing. Infinity for one that can never leave. */
  quote(pool: string, size: CallSize, priority?: Priority): Promise<number>;
  /**
   * Ends a booking with what the call took in truth. Due on every path: answered, failed, cancelled, never sent. Tries again
   * for some seconds when Redis is away.
   */
  settle(booking: Booking | undefined, end: CallEnd): Promise<void>;
  /** Renews the leases of open bookings, by default of all of this process: to be called three times per lease. */
  renew(bookings?: readonly Booking[]): Promise<void>;
  /**
   * Corrects the book by an answer's limit headers. With the answer's booking, even before it is settled, others who use
   * the account are told from our own calls under way. `arrivedBy` as in {@link CallEnd}: a call that came late was overtaken
   * by others of ours, so that all that is booked by now counts as ours.
   */
  observe(pool: string, limits: ObservedLimits, booking?: Booking, arrivedBy?: number): Promise<void>;
  /** Lets nothing of the pool leave for a time; a longer time that is set already stays. */
  park(pool: string, forMs: number): Promise<void>;
  /** For how long nothing of the pool may leave; 0 when it may, or when Redis cannot tell. */
  parkedFor(pool: string): Promise<number>;
  /**
   * A 429 that the book did not prevent: parks the pool until the vendor's time (without one, 1 s), calls that are booked
   * and wait included. With the refused call's booking, before it is settled, the book takes it that the account could
   * take no more. `slowDown`: the vendor asked for a lower rate, so that only half of each limit is filled for 15 minutes,
   * and more bit by bit within 15 others.
   */
  reportRefusal(
    pool: string,
    retryAfterMs: number | null,
    booking?: Booking,
    how?: { slowDown: boolean },
  ): Promise<void>;
  /** False for a call that is larger than a whole minute of the pool as configured, which can never leave. */
  fits(pool: string, size: CallSize): boolean;
  /** How the pool stands; null when Redis cannot tell. */
  read(pool: string): Promise<PoolReading | null>;
  /** False when the pool is parked or so full that work of this priority must wait; as of at most 250 ms ago. */
  admits(pool: string, priority: Priority): Promise<boolean>;
  /** Bookings of this process that are not settled. */
  readonly open: number;
}

const HORIZON_MS = 2_000;
const LONGEST_HORIZON_MS = 10_000;
const REFUSAL_PAUSE_MS = 1_000;
const READING_TTL_MS = 250;
/** Before a call is as late as the arrival spread allows: most come within 50 of its 250 ms. */
const OVERTAKEN_BELOW_MS = 200;
const MOST_REBOOKINGS = 3;
/** A moment without Redis must not leave a call booked for its minute. Shorter than the lease of a booking. */
const SETTLE_AGAIN_AFTER_MS = [250, 1_000, 3_000] as const;

export interface CapacityBookOptions {
  /** A connection of the role `producer`. */
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
  /** Limits by pool. */
  domains?: ReadonlyMap<string, DomainLimits>;
  hooks?: BookHooks;
  /** After this a call whose owner is dead no longer counts among the calls at a time. Default 30,000. */
  leaseMs?: number;
  /** This process's share of the limits while Redis is away. Default 0.25. */
  standInShare?: number;
  /** Monotonic, in ms. */
  now?: () => number;
  pause?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** Opens the book; no resources of its own beyond the connection it is given. */
export function createCapacityBook(options: CapacityBookOptions): CapacityBook {
  const { onError, hooks = {}, domains = new Map<string, DomainLimits>(), leaseMs = 30_000 } = options;
  const now = options.now ?? (() => performance.now());
  const pause = options.pause ?? wait;
  const store = createBookStore({ redis: options.redis, names: options.names, leaseMs });
  const standIn = createStandInBook({ share: options.standInShare ?? 0.25, now });
  const open = new Map<string, Booking>();
  const readings = new Map<string, { reading: Promise<PoolReading | null>; until: number }>();
  const owner = randomBytes(6).toString('base64url');
  let issued = 0;
  const limitsOf = (pool: string): DomainLimits => domains.get(pool) ?? {};

  async function orElse<Result>(work: Promise<Result>, otherwise: Result): Promise<Result> {
    try {
      return await work;
    } catch (error) {
      onError(error);
      return otherwise;
    }
  }

  /** Books once; the wait until departure is still ahead. */
  async function book(
    pool: string,
    size: CallSize,
    { horizonMs = HORIZON_MS, priority, caller, place = -1 }: ReserveOptions,
  ): Promise<{ reservation: Reservation; waitMs: number }> {
    const limits = limitsOf(pool);
    const horizon = Math.min(horizonMs, LONGEST_HORIZON_MS);
    const amounts = amountsOf(size, limits);
    try {
      issued += 1;
      const share = shareOf(limits, priority);
      return await store.reserve({
        pool,
        limits,
        amounts,
        id: `${owner}${issued.toString(36)}`,
        horizonMs: horizon,
        share,
        outputAfterMs: size.expectedDurationMs ?? 0,
        caller: caller?.name ?? '',
        ageMs: caller?.ageMs ?? 0,
        place: caller ? place : -1,
        asOf: now(),
        onHighUse: () => hooks.onHighUse?.({ pool }),
      });
    } catch (error) {
      onError(error);
      const { waitMs, reason } = standIn.reserve(pool, amounts, limits, horizon);
      if (waitMs > horizon) {
        return {
          reservation: { verdict: 'wait', waitMs, poolWaitMs: waitMs, reason, keepsTurn: true },
          waitMs: 0,
        };
      }
      return { reservation: { verdict: 'leave' }, waitMs };
    }
  }

  const settle = async (booking: Booking | undefined, end: CallEnd): Promise<void> => {
    if (!booking || !open.delete(booking.id)) return;
    const limits = limitsOf(booking.pool);
    const taken = settledAmounts(bookedAmounts(booking), end, limits);
    const lateMs = end.sent && end.arrivedBy !== undefined ? end.arrivedBy - booking.departBy : 0;
    const how = { wasSent: end.sent, lateMs: Math.max(0, lateMs) };
    for (const againAfterMs of [...SETTLE_AGAIN_AFTER_MS, null]) {
      const isAgain = againAfterMs !== SETTLE_AGAIN_AFTER_MS[0];
      const settled = store.settle(booking, taken, { ...how, isAgain }, limits).then(() => true);
      if ((await orElse(settled, false)) || againAfterMs === null) return;
      await pause(againAfterMs);
    }
  };

  const read = (pool: string): Promise<PoolReading | null> => orElse(store.read(pool, limitsOf(pool)), null);

  const parkedFor = (pool: string): Promise<number> => orElse(store.parkedFor(pool), 0);
  const closings = createClosings({ parkedFor, now });

  return {
    async reserve(pool, size, reserveOptions = {}) {
      const limits = limitsOf(pool);
      const { signal } = reserveOptions;
      if (isUnlimited(limits)) {
        const waitMs = await parkedFor(pool);
        return waitMs > 0 ? waitForParked(waitMs) : { verdict: 'leave' };
      }
      for (let rebookings = 0; ; rebookings += 1) {
        const { reservation, waitMs } = await book(pool, size, reserveOptions);
        if (reservation.verdict !== 'leave') return reservation;
        const { booking } = reservation;
        if (booking) open.set(booking.id, booking);
        const dueAt = now() + waitMs;
        if (waitMs > 0) await pause(waitMs, signal);
        if (signal?.aborted === true) {
          await settle(booking, { sent: false });
          return { verdict: 'aborted' };
        }
        const closedMs = waitMs > 0 ? await closings.closedFor(pool) : 0;
        if (closedMs > 0) {
          await settle(booking, { sent: false });
          return waitForParked(closedMs);
        }
        const lateMs = booking ? now() - booking.departBy : 0;
        if (lateMs <= 0 || rebookings === MOST_REBOOKINGS) return reservation;
        hooks.onLate?.({ pool, lateMs: now() - dueAt });
        await settle(booking, { sent: false });
      }
    },
    async quote(pool, size, priority) {
      const limits = limitsOf(pool);
      if (isUnlimited(limits)) return parkedFor(pool);
      const share = shareOf(limits, priority);
      const amounts = amountsOf(size, limits);
      const nobody = { id: '', caller: '', ageMs: 0, place: -1, horizonMs: -1, outputAfterMs: 0 };
      const asked = { pool, limits, amounts, share, ...nobody, asOf: now() };
      const nothingKnown: Reservation = { verdict: 'wait', waitMs: 0, poolWaitMs: 0, keepsTurn: false };
      const { reservation } = await orElse(store.reserve({ ...asked, onHighUse: () => undefined }), {
        reservation: nothingKnown,
        waitMs: 0,
      });
      return reservation.verdict === 'wait' ? reservation.waitMs : Infinity;
    },
    settle,
    async renew(bookings = [...open.values()]) {
      const mine = bookings.filter(({ id }) => open.has(id));
      await orElse(store.renew(mine), undefined);
    },
    async observe(pool, observed, booking, arrivedBy) {
      const limits = limitsOf(pool);
      if (isUnlimited(limits)) return;
      const wasOvertaken =
        booking !== undefined && arrivedBy !== undefined && arrivedBy > booking.departBy - OVERTAKEN_BELOW_MS;
      const answer = { observed, booking, wasOvertaken };
      const changes = await orElse(store.observe(pool, limits, answer), []);
      for (const change of changes) hooks.onLimitChanged?.({ pool, ...change });
    },
    async park(pool, forMs) {
      closings.note(pool, forMs);
      await orElse(store.park(pool, forMs), undefined);
    },
    parkedFor,
    async reportRefusal(pool, retryAfterMs, booking, { slowDown } = { slowDown: false }) {
      const pauseMs = retryAfterMs ?? REFUSAL_PAUSE_MS;
      closings.note(pool, pauseMs);
      const refusal = { forMs: pauseMs, booking, slowDown };
      const isFirst = await orElse(store.refuse(pool, limitsOf(pool), refusal), false);
      const reading = isFirst ? await read(pool) : null;
      hooks.onRefusal?.({ pool, pauseMs, isFirst, slowDown, reading });
    },
    fits: (pool, size) => misfitOf(size, limitsOf(pool)) === null,
    read,
    async admits(pool, priority) {
      let known = readings.get(pool);
      if (!known || known.until <= now()) {
        known = { reading: read(pool), until: now() + READING_TTL_MS };
        readings.set(pool, known);
      }
      const reading = await known.reading;
      if (!reading) return true;
      const share = priority === 'background' ? (limitsOf(pool).backgroundShare ?? 0.9) : 1;
      return reading.parkedMs === 0 && reading.fullest < share;
    },
    get open() {
      return open.size;
    },
  };
}

function waitForParked(waitMs: number): Reservation {
  return { verdict: 'wait', waitMs, poolWaitMs: waitMs, reason: 'parked', keepsTurn: false };
}

/** What work of a class may fill of each limit. */
function shareOf(limits: DomainLimits, priority: Priority | undefined): number {
  return priority === 'background' ? (limits.backgroundShare ?? 0.9) : 1;
}

/** Waits; an aborted wait ends early and does not throw. */
async function wait(ms: number, signal?: AbortSignal): Promise<void> {
  await pauseFor(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
