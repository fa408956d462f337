import type { Amounts, Dimension, TooLarge } from '../domain/domain-limits.ts';

/** One dimension of a booking. */
export interface BookedAmount {
  readonly dimension: Dimension;
  readonly amount: number;
  /** The slice of the window that holds it. */
  readonly slice: number;
  readonly limit: number;
  /** What the domain's own calls had taken when this one left, itself included … */
  readonly ownUse: number;
  /** … what its bucket owed then … */
  readonly debt: number;
  /** … and by how much that had been corrected. */
  readonly corrected: number;
  /** The bucket was charged at a pace that lets the whole limit through in this time. */
  readonly paceMs: number;
}

/**
 * A call's place in the book. States: open → settled, once. One that is never settled keeps what it was charged for its
 * minute; its place among the calls at a time is free again when its lease has run out.
 */
export interface Booking {
  readonly pool: string;
  readonly id: string;
  /** Empty without Redis. */
  readonly booked: readonly BookedAmount[];
  /** Instant of departure on the clock of Redis. */
  readonly departsAt: number;
  /** On the process's monotonic clock: a call that leaves later than this should be settled as not sent and booked anew. */
  readonly departBy: number;
}

/**
 * `leave`: the call may go now; settle the booking however it ends. `wait`: nothing was booked; come back in `waitMs`.
 * `poolWaitMs` of it is not for this call's size or class: until then nothing of the pool can leave; `keepsTurn` if that is all of
 * it but for a moment. Reason `turn`: there is room, and a call of an earlier place comes first.
 * `isLearned`: it is larger than a limit that headers told. `too_large`: it can never go,
 * or (`isLearned`) has for minutes been larger than a limit that the vendor's headers told. `aborted`: the signal ended the wait;
 * nothing is booked.
 */
export type Reservation =
  | { verdict: 'leave'; booking?: Booking }
  | {
      verdict: 'wait';
      waitMs: number;
      poolWaitMs: number;
      reason?: Dimension | 'concurrency' | 'parked' | 'turn';
      keepsTurn: boolean;
      isLearned?: boolean;
    }
  | ({ verdict: 'too_large'; isLearned?: boolean } & TooLarge)
  | { verdict: 'aborted' };

/** The amounts of a booking by dimension. */
export function bookedAmounts(booking: Booking): Amounts {
  return Object.fromEntries(booking.booked.map(({ dimension, amount }) => [dimension, amount]));
}
