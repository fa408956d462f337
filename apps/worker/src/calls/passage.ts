import type { Happening, Outcome } from '@millrace/calls';
import type { AttemptEnd, ClaimedStep } from '@millrace/ledger';

/** How far a claim got: with an attempt if a call was sent. Instants are in milliseconds since 1970. */
export interface Passage {
  happening: Happening;
  attempt: AttemptEnd | null;
  sentAt: number | null;
  firstTextAt: number | null;
  endedAt: number | null;
  purpose: 'answer' | 'repair';
  /** What the prompt was thought to be before it was sent; null when none was prepared. */
  estimatedInputTokens: number | null;
}

/** One claim from its beginning to its end. */
export interface CallReport {
  step: ClaimedStep;
  passage: Passage;
  outcome: Outcome;
  accepted: boolean;
  claimedAt: number;
}
