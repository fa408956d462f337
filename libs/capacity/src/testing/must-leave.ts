import type { Booking } from '../book/booking.ts';
import type { CapacityBook } from '../book/capacity-book.ts';
import type { CallSize } from '../domain/domain-limits.ts';

/** Books a call that must leave, and answers its booking. */
export async function mustLeave(
  book: CapacityBook,
  pool: string,
  size: CallSize = { inputTokens: 0, maxOutputTokens: 0 },
  horizonMs = 5_000,
): Promise<Booking> {
  const reservation = await book.reserve(pool, size, { horizonMs });
  if (reservation.verdict !== 'leave' || !reservation.booking) throw new Error(JSON.stringify(reservation));
  return reservation.booking;
}
