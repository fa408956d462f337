import type { Dimension } from '../domain/domain-limits.ts';
import type { PoolReading } from './pool-reading.ts';

/** What the book tells its owner, for logs and metrics. None may throw. Each event is told by one process of the fleet. */
export interface BookHooks {
  /** A vendor's headers named another limit than ours; it is in force. */
  onLimitChanged?(change: { pool: string; dimension: Dimension; from: number; to: number }): void;
  /**
   * A vendor refused a call although the book had let it go; the pool pauses. `isFirst` for the refusal that began the
   * pause: warn once. Count them all: it should be none. `slowDown`: the vendor asked for a lower rate than its limits.
   */
  onRefusal?(refusal: {
    pool: string;
    pauseMs: number;
    isFirst: boolean;
    slowDown: boolean;
    reading: PoolReading | null;
  }): void;
  /** A limit has been used above the domain's `highUseShare` for a minute. */
  onHighUse?(use: { pool: string }): void;
  /** A call left later than its booking allows for, and was booked anew. */
  onLate?(late: { pool: string; lateMs: number }): void;
}
