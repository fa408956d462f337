import type { Priority } from '@millrace/contracts';
import type { StepReference } from '../steps/claim-steps.ts';

/** A step that has left the batch lane and wants to be woken in its pool. */
export interface StepWakeOfBatch extends StepReference {
  pool: string;
  fence: number;
  priority: Priority;
}
