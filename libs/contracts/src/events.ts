import { z } from 'zod';
import { jsonSchema } from './json.ts';

/** Events that are kept in the ledger as long as the job. */
export const lifecycleEventTypes = [
  'job.queued',
  'job.started',
  'step.started',
  'step.completed',
  'step.retried',
  'step.failed',
  'job.progress',
  'job.requires_action',
  'job.completed',
  'job.failed',
  'job.cancelled',
  'job.expired',
] as const;
export type LifecycleEventType = (typeof lifecycleEventTypes)[number];

/** `step.delta` is live: it is kept for an hour after the job's end. */
export type JobEventType = LifecycleEventType | 'step.delta';

/**
 * A place in a job's event stream. Lifecycle events are numbered 1, 2, 3 … by the ledger; the text deltas that arrive
 * after lifecycle event `sequence` and before the next one are numbered 1, 2, 3 … in `delta` (0 is the event itself).
 */
export interface EventPosition {
  sequence: number;
  delta: number;
}

const DELTAS_PER_EVENT = 1_000_000_000;

/** A position as the one number that clients see (`id:`, `sequence_number`): it only grows within a job. */
export function toSequenceNumber(position: EventPosition): number {
  return position.sequence * DELTAS_PER_EVENT + position.delta;
}

/** The inverse of {@link toSequenceNumber}; null when the text is not such a number. */
export function parseSequenceNumber(text: string): EventPosition | null {
  if (!/^\d{1,16}$/.test(text)) return null;
  const number = Number(text);
  if (!Number.isSafeInteger(number)) return null;
  return { sequence: Math.floor(number / DELTAS_PER_EVENT), delta: number % DELTAS_PER_EVENT };
}

/** Which of two positions comes first: negative, zero or positive, as a sort needs it. */
export function comparePositions(a: EventPosition, b: EventPosition): number {
  return a.sequence - b.sequence || a.delta - b.delta;
}

/** A lifecycle event as the ledger keeps it. */
export interface JobEvent {
  sequence: number;
  type: LifecycleEventType;
  /** Milliseconds since 1970. */
  at: number;
  data: Record<string, unknown>;
}

/** Text that a step's attempt has produced since the last delta. */
export interface StepDelta {
  step: string;
  attempt: number;
  text: string;
}

/** The JSON of one SSE event. */
export const sseEventSchema = z
  .looseObject({
    sequence_number: z.int(),
    type: z.enum([...lifecycleEventTypes, 'step.delta']),
    job_id: z.string(),
    at: z.string().optional(),
    step: z.string().optional(),
    text: z.string().optional(),
    data: jsonSchema.optional(),
  })
  .meta({ id: 'JobStreamEvent' });
