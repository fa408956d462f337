import { z } from 'zod';
import { jobErrorSchema } from './job.ts';

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

/** The events that end a job. Exactly one of them is the last of each job's events. */
const terminalEventTypes: readonly string[] = [
  'job.completed',
  'job.failed',
  'job.cancelled',
  'job.expired',
] satisfies LifecycleEventType[];

/** Whether a job is over with this event. */
export function isTerminalEvent(type: JobEventType): boolean {
  return terminalEventTypes.includes(type);
}

/** `step.delta` is live: it is kept for an hour after the job's end. */
export type JobEventType = LifecycleEventType | 'step.delta';

/**
 * A place in a job's event stream. Lifecycle events are numbered 1, 2, 3 … by the ledger; the text deltas that arrive
 * after lifecycle event `sequence` and before the next one have growing numbers in `delta` (0 is the event itself).
 * Deltas are not dense: they grow with the job's age, so that none comes back when Redis has lost the stream.
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

/** A lifecycle event as the ledger keeps it and as it is announced. */
export const jobEventSchema = z.object({
  sequence: z.int(),
  type: z.enum(lifecycleEventTypes),
  /** Milliseconds since 1970. */
  at: z.number(),
  data: z.record(z.string(), z.unknown()),
});
export type JobEvent = z.infer<typeof jobEventSchema>;

/** Text that a step's attempt has produced since the last delta, as it is stored and announced. */
export const stepDeltaSchema = z.object({ step: z.string(), attempt: z.int(), text: z.string() });
export type StepDelta = z.infer<typeof stepDeltaSchema>;

/** Tells workers to drop the calls of a job: all, or those of some steps. */
export const cancelNoticeSchema = z.object({ jobId: z.string(), keys: z.array(z.string()).nullable() });

/** The JSON of one SSE event: what kind, where, when, and what the event carries, all on one level. */
export const sseEventSchema = z
  .looseObject({
    type: z.enum([...lifecycleEventTypes, 'step.delta']),
    sequence_number: z.int().meta({ description: 'Only grows within a job; also the `id:` of the event.' }),
    job_id: z.string(),
    at: z.string().optional().meta({ description: 'RFC 3339; not on `step.delta`.' }),
    step: z.string().optional(),
    attempt: z.int().optional().meta({ description: 'Which sending of the step this is about.' }),
    text: z.string().optional().meta({ description: '`step.delta`: what the attempt has added.' }),
    target: z.string().optional().meta({ description: '`step.started`: provider and model.' }),
    reason: z
      .string()
      .optional()
      .meta({ description: '`step.retried`: drop what the step has shown so far.' }),
    error: jobErrorSchema.optional(),
    steps_done: z.int().optional(),
    steps_known: z.int().optional(),
    steps_answered: z.int().optional(),
  })
  .meta({ id: 'JobStreamEvent' });
