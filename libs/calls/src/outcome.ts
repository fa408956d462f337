import type { ErrorCode, JobError, Json } from '@millrace/contracts';

/** What becomes of a step after a claim. `parkMs` keeps the whole pool from sending for so long; null: not at all. */
export type Outcome =
  | { kind: 'complete'; output: Json; degraded?: 'stale'; meanLogprob?: number }
  | { kind: 'retry'; delayMs: number; reason: string; countsAttempt: boolean; parkMs: number | null }
  | {
      kind: 'fall_over';
      target: string;
      reason: string;
      countsAttempt: boolean;
      /** True when the present target is given up for this step; false when it is only busy. */
      gaveUp: boolean;
      /** Set when the target is the last resort of a route that is down. */
      degraded?: 'cheapest';
      parkMs: number | null;
    }
  | { kind: 'repair'; answer: string; feedback: string; fingerprint: string }
  | { kind: 'hold'; error: JobError }
  | { kind: 'fail'; error: JobError; parkMs?: number }
  /** The claim is gone; nothing about the step may be written. */
  | { kind: 'drop'; reason: string };

/** The bounds of retries and repairs, from `retry:` of the configuration. */
export interface OutcomePolicy {
  maxAttemptsPerTarget: number;
  maxAttempts: number;
  maxRepairs: number;
  baseDelayMs: number;
  maxDelayMs: number;
  maxRetryAfterMs: number;
}

/** The outcome that ends the step with an error of Millrace's own. */
export function fail(code: ErrorCode, message: string): Outcome {
  return { kind: 'fail', error: { code, message } };
}
