import type { ErrorCode } from './error-catalogue.ts';
import type { TokenUsage } from './usage.ts';

/** What is known about a failed call, kept beside the retry decision; all of it is safe to log. */
export interface CallFailure {
  code: ErrorCode;
  provider: string | null;
  /** HTTP status of the provider's answer, null when there was none. */
  httpStatus: number | null;
  /** The provider's own error code, as it sent it. */
  providerCode: string | null;
  providerRequestId: string | null;
  /** Tokens the provider reported before the failure, null when it reported none. */
  usage: TokenUsage | null;
  /** True when it reported a part of them and the rest was counted from what had arrived. */
  usageEstimated?: boolean;
  /** True when the provider may have done (and billed) work for this call although it failed. */
  maybeBilled: boolean;
  /**
   * How far the failure reaches: `call` this request only, `target` this model for a while, `account` the whole
   * provider account (bad key, no quota).
   */
  scope: 'call' | 'target' | 'account';
}

/** The same step must not be sent to this target again: the answer would be the same. */
export class TerminalError extends Error {
  readonly failure: CallFailure;

  constructor(message: string, failure: CallFailure, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'TerminalError';
    this.failure = failure;
  }
}

/** The same step may be sent again, not before `retryAfterMs` when the provider named a time (else null). */
export class RetryableError extends Error {
  readonly failure: CallFailure;
  readonly retryAfterMs: number | null;

  constructor(message: string, failure: CallFailure, retryAfterMs: number | null, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'RetryableError';
    this.failure = failure;
    this.retryAfterMs = retryAfterMs;
  }
}
