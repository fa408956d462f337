import type { TokenUsage } from '@millrace/contracts';

/** What was known of a call when its caller gave it up. */
export interface AbortedCall {
  provider: string;
  /** False when the request never left this process. */
  maybeBilled: boolean;
  /** What the call has probably cost; null when it never left. */
  usage: TokenUsage | null;
  /** True when any part of `usage` was counted here and not told by the vendor. */
  usageEstimated: boolean;
  /** Characters of the answer that had arrived. */
  textLength: number;
  httpStatus: number | null;
  providerRequestId: string | null;
}

/** The caller's signal ended the call; `cause` is the signal's reason. */
export class CallAborted extends Error {
  readonly aborted: AbortedCall;

  constructor(aborted: AbortedCall, reason: unknown) {
    super(`the call to ${aborted.provider} was aborted`, { cause: reason });
    this.name = 'CallAborted';
    this.aborted = aborted;
  }
}
