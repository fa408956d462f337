import { errorCatalogue, RetryableError, TerminalError } from '@millrace/contracts';
import type { CallFailure, ErrorCode, TokenUsage } from '@millrace/contracts';

/** What a vendor's error means to us. */
export interface Verdict {
  code: ErrorCode;
  retry: boolean;
  scope: CallFailure['scope'];
  maybeBilled: boolean;
}

/** What is known about the call that failed. */
export interface FailureFacts {
  provider: string;
  httpStatus: number | null;
  providerCode: string | null;
  providerRequestId: string | null;
  usage: TokenUsage | null;
  /** True when a part of `usage` was counted here; absent: all of it was told by the vendor. */
  usageEstimated?: boolean;
  /** The vendor's words, already safe for users and logs. */
  detail: string | null;
  retryAfterMs: number | null;
}

/** The error that carries the verdict. Its message is made of catalogue text, codes and the safe detail only. */
export function makeFailure(verdict: Verdict, facts: FailureFacts): TerminalError | RetryableError {
  const failure: CallFailure = {
    code: verdict.code,
    provider: facts.provider,
    httpStatus: facts.httpStatus,
    providerCode: facts.providerCode,
    providerRequestId: facts.providerRequestId,
    usage: facts.usage,
    usageEstimated: facts.usageEstimated ?? false,
    maybeBilled: verdict.maybeBilled,
    scope: verdict.scope,
  };
  const message = describe(verdict, facts);
  if (!verdict.retry) return new TerminalError(message, failure);
  return new RetryableError(message, failure, facts.retryAfterMs);
}

function describe(verdict: Verdict, facts: FailureFacts): string {
  const marks = [facts.httpStatus, facts.providerCode].filter((mark) => mark !== null).join(' ');
  const title = `${facts.provider}${marks === '' ? '' : ` (${marks})`}: ${errorCatalogue[verdict.code].title}`;
  return facts.detail === null ? title : `${title}: ${facts.detail}`;
}
