import type { Degradation, Lane, Priority, StepRequest } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

/** A step that the plan wants, with the target that was chosen for it. */
export interface NewStep {
  key: string;
  request: StepRequest;
  /** The node that waits for this step and its siblings together; null when the step's end alone lets the plan go on. */
  barrier: string | null;
  target: string;
  pool: string;
  /** What the call is expected to take of its pool, input and output; for the order between tenants. */
  estimatedTokens?: number;
  /** Absent: realtime. A step of the batch lane is `collected`, and nobody wakes it. */
  placement?: Placement;
  /** Set when the target is not one that the step's route wants, but its last resort. */
  degraded?: Degradation | null;
  /** What identical requests have in common; absent where nobody will ask. */
  requestHash?: string | null;
}

/** How a step is to be served, and why. */
export interface Placement {
  lane: Lane;
  reason: string;
  /** When the step leaves the batch lane, answered or not (milliseconds since 1970); null: only with its batch. */
  escapeAt: number | null;
  /** Fingerprint of what a provider could refuse about the request. */
  shape: string | null;
}

const INSERT_STEPS = `
INSERT INTO steps (job_id, key, barrier, priority, route, target, pool, request, estimated_tokens, lane, lane_reason, escape_at, shape,
  degraded, request_hash, status, wake_at)
SELECT job_id, key, barrier, priority, route, target, pool, request::json, coalesce("estimatedTokens", 1000),
  coalesce(lane, 'realtime'), lane_reason,
  to_timestamp(escape_at / 1000), shape, degraded, "requestHash", CASE WHEN lane = 'batch' THEN 'collected' ELSE 'pending' END,
  CASE WHEN lane = 'batch' THEN NULL ELSE now() + interval '10 seconds' END
FROM json_to_recordset($1) AS j (
  job_id text, key text, barrier text, priority text, route text, target text, pool text, request text, lane text,
  "estimatedTokens" int, lane_reason text, escape_at float8, shape text, degraded text, "requestHash" text)
ON CONFLICT (job_id, key) DO NOTHING
RETURNING job_id, key, pool, estimated_tokens, status = 'collected' AS collected`;

/**
 * Inserts the steps that jobs wait for, and returns those that were not there before: a step is unique on job and key. The
 * caller's transaction holds the rows of the jobs.
 */
export async function insertSteps(
  transaction: Queryable,
  wanted: ReadonlyMap<{ id: string; priority: Priority }, { steps: readonly NewStep[] }>,
): Promise<InsertedStep[]> {
  const rows = [...wanted].flatMap(([job, { steps }]) =>
    steps.map(({ placement, ...step }) => ({
      job_id: job.id,
      priority: job.priority,
      ...step,
      lane: placement?.lane,
      lane_reason: placement?.reason,
      escape_at: placement?.escapeAt,
      shape: placement?.shape,
      route: step.request.route,
      request: JSON.stringify(step.request),
    })),
  );
  return rows.length === 0 ? [] : transaction.query(INSERT_STEPS, [JSON.stringify(rows)]);
}

/** `collected`: it waits for a batch, and nobody wakes it. */
export interface InsertedStep {
  job_id: string;
  key: string;
  pool: string;
  estimated_tokens: number;
  collected: boolean;
}
