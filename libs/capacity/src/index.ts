export { createCapacityBook } from './book/capacity-book.ts';
export type { CapacityBook, CapacityBookOptions, ReserveOptions } from './book/capacity-book.ts';
export type { BookHooks } from './book/book-hooks.ts';
export type { BookedAmount, Booking, Reservation } from './book/booking.ts';
export type { LimitUse, PoolReading } from './book/pool-reading.ts';
export { arrivalSpreadMs, dimensions, misfitOf } from './domain/domain-limits.ts';
export type {
  Amounts,
  CallEnd,
  CallSize,
  Dimension,
  DomainLimits,
  TooLarge,
} from './domain/domain-limits.ts';
export type { LimitReading, ObservedLimits } from './domain/observed-limits.ts';
export { createOutputEstimator } from './estimates/output-estimator.ts';
export type { OutputEstimator } from './estimates/output-estimator.ts';
export { breakerStates, createBreakers } from './breaker/breakers.ts';
export type { BreakerPolicy, Breakers, BreakerState, BreakerVerdict } from './breaker/breakers.ts';
