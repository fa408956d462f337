export { createCapacityBook } from './book/capacity-book.ts';
export type { CapacityBook, CapacityBookOptions, ReserveOptions } from './book/capacity-book.ts';
export type { BookHooks } from './book/book-hooks.ts';
export type { BookedAmount, Booking, Reservation } from './book/booking.ts';
export type { LimitUse, PoolReading } from './book/pool-reading.ts';
export { amountsOf, arrivalSpreadMs, dimensions, misfitOf } from './domain/domain-limits.ts';
export type {
  Amounts,
  CallEnd,
  CallSize,
  Dimension,
  DomainLimits,
  TooLarge,
} from './domain/domain-limits.ts';
export { createFindOversize } from './domain/find-oversize.ts';
export type { LimitReading, ObservedLimits } from './domain/observed-limits.ts';
export { createOutputEstimator } from './estimates/output-estimator.ts';
export type { OutputEstimator } from './estimates/output-estimator.ts';
export { breakerStates, createBreakers } from './breaker/breakers.ts';
export type { BreakerPolicy, Breakers, BreakerState, BreakerVerdict } from './breaker/breakers.ts';
export { createFleet } from './fleet/fleet.ts';
export type { Fleet } from './fleet/fleet.ts';
export { findPressure } from './scaling/backpressure.ts';
export { createFitsBatch } from './scaling/fits-batch.ts';
export type { FitsBatch } from './scaling/fits-batch.ts';
export { composePlan } from './scaling/compose-plan.ts';
export { createDrainMeter } from './scaling/drain-meter.ts';
export { forecastJob, forecastNew } from './scaling/forecast.ts';
export type { Forecast } from './scaling/forecast.ts';
export { shareOf } from './scaling/share-of.ts';
export type { ScalingPolicy } from './scaling/wanted-concurrency.ts';
