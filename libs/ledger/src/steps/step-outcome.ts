import type { Charge, JobError, Json, TokenUsage } from '@millrace/contracts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { RepairState, StepReference } from './claim-steps.ts';

/** What became of the call itself; null when none was sent under this claim. */
export interface AttemptEnd {
  number: number;
  status: 'completed' | 'failed' | 'interrupted' | 'cancelled';
  target: string;
  firstTokenAt: number | null;
  providerRequestId: string | null;
  httpStatus: number | null;
  error: { code: string; message: string } | null;
  /** The provider may have finished and billed the call although we have no answer. */
  ambiguous: boolean;
  /** Null when the provider reported nothing and so, as far as we know, billed nothing. */
  usage:
    | (TokenUsage & {
        costMicroUsd: number;
        priceKnown: boolean;
        estimated: boolean;
        serviceTier: string | null;
        /** What the same tokens cost in realtime; absent where it was realtime. */
        realtimeMicroUsd?: number;
      })
    | null;
}

/** Where the step goes from here. */
export type NextState =
  | {
      status: 'completed';
      output: Json;
      /** `stale`: the output is an earlier answer to an identical request. Absent: as the step says. */
      degraded?: 'stale';
      /** Mean log probability of the answer's tokens, where the provider told it. */
      meanLogprob?: number | null;
    }
  | { status: 'failed'; error: JobError }
  | { status: 'held'; error: JobError }
  | {
      status: 'pending';
      delayMs: number;
      /** Another target to go to; null stays. `gaveUp`: the step never comes back to the present one. */
      move: {
        target: string;
        pool: string;
        gaveUp: boolean;
        /** `cheapest`: to the last resort of a route that is down. Absent: to a target that the route wants. */
        degraded?: 'cheapest';
      } | null;
      repair: RepairState | null;
      /** False for hand-backs and waits for capacity: they use up nothing. */
      countsAttempt: boolean;
    };

/** The outcome of one claim. `fence` must be the claim's, else it is refused. */
export interface StepOutcome extends StepReference {
  fence: number;
  next: NextState;
  attempt: AttemptEnd | null;
  /** Tells watchers that the step starts again, and why. */
  retried: { reason: string; attempt: number } | null;
}

/** `accepted` is false for an answer with an old fence: the step is not touched, only what it cost is booked. */
export interface RecordResult {
  accepted: boolean;
  /** The plan may be able to go on: advance the job. */
  mayAdvance: boolean;
  events: StoredEvent[];
  /** Webhooks that were written because the job now waits for a decision. */
  deliveryIds: string[];
  /** For a step that goes on: what its next wake carries. It pays for a place in a pool that it comes to anew. */
  pending: { pool: string; fence: number; charge: Charge | null } | null;
}
