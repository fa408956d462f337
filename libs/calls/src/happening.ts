import type { CallFailure, Json } from '@millrace/contracts';

/** What came of a claim, as far as the decision needs it. */
export type Happening =
  | { kind: 'answered'; output: Json; meanLogprob?: number }
  /** An answer that does not fit the step's output schema. */
  | {
      kind: 'misfit';
      answer: string;
      feedback: string;
      fingerprint: string;
      truncated: boolean;
      /** Where the step wants fewer repairs than the policy allows. */
      maxRepairs?: number;
    }
  /** The same request would be refused again at this target. */
  | { kind: 'refused'; message: string; failure: CallFailure }
  /** The same request may be answered next time; `retryAfterMs` is what the provider asked for, null when it named no time. */
  | { kind: 'failed'; message: string; failure: CallFailure; retryAfterMs: number | null }
  /** We ended the call ourselves. */
  | { kind: 'aborted'; reason: AbortReason }
  /** An earlier holder sent the call and its answer was never recorded. */
  | { kind: 'lost_answer' }
  /** The worker died too often while it held this step. */
  | { kind: 'deadly' }
  /** This version cannot read what the step asks, at these places; `isNewer`: another version wrote it, and may be about. */
  | { kind: 'unreadable'; isNewer: boolean; places: readonly string[] }
  /** The configuration gives its target to another pool than the one that the step waited in. */
  | { kind: 'misplaced' }
  /** The call may not leave yet. */
  | {
      kind: 'must_wait';
      delayMs: number;
      /** Everybody in its pool must wait, and the pool pauses: the step keeps its turn. */
      keepsTurn?: boolean;
    }
  /** The target's breaker is open: it is in trouble, as other calls have seen; or it was switched off. */
  | { kind: 'closed'; delayMs: number }
  /** The call alone is larger than what its pool may send in a minute; `isLearned`: as the provider's answers say, not as configured. */
  | { kind: 'too_large'; dimension: string; limit: number; requested: number; isLearned?: boolean }
  /** It could cost more than is left of the job's cap. */
  | { kind: 'over_cap' }
  /** The job has a cap and nobody knows what the call can cost. */
  | { kind: 'unpriced' }
  /** Something threw that no provider's adapter has mapped: a mistake of ours, most likely. */
  | { kind: 'unexpected'; message: string };

/** Why we ended a call ourselves: this worker stops, the job was cancelled, or the claim was lost to another worker. */
export type AbortReason = 'shutdown' | 'cancelled' | 'lost';
