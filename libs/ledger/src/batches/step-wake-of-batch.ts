import type { Charge, Priority } from '@millrace/contracts';
import { CHARGE } from '../steps/charge-of-step.ts';
import type { StepReference } from '../steps/claim-steps.ts';

/** A step that has left the batch lane and wants to be woken in its pool. */
export interface StepWakeOfBatch extends StepReference {
  pool: string;
  fence: number;
  priority: Priority;
  /** It comes to its pool's queue now, and pays for its place there like everybody. */
  charge: Charge;
}

/** The columns of {@link StepWakeOfBatch}, of a step `s`. */
export const WAKE_COLUMNS = `s.job_id AS "jobId", s.key, s.pool, s.fence, s.priority, ${CHARGE} AS charge`;
