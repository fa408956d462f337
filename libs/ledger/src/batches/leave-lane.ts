import type { Queryable } from '../database.ts';
import type { StepReference } from '../steps/claim-steps.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

const SET = `status = 'pending', lane = 'realtime', lane_reason = $1, escape_at = NULL, not_before = now(), class_since = now(),
  wake_at = now() + interval '10 seconds', wake_count = 0`;

const THESE = `
WITH leaving AS (
  SELECT s.job_id, s.key FROM steps s JOIN unnest($2::text[], $3::text[]) AS w (job_id, key) USING (job_id, key)
  WHERE s.status = 'collected' FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE steps s SET ${SET} FROM leaving l WHERE s.job_id = l.job_id AND s.key = l.key RETURNING ${WAKE_COLUMNS}`;

/** Sends collected steps to realtime: they cannot ride in a batch. What somebody has locked is left for the next time. */
export async function leaveLane(
  database: Queryable,
  steps: readonly StepReference[],
  reason: string,
): Promise<StepWakeOfBatch[]> {
  if (steps.length === 0) return [];
  return database.query(THESE, [reason, steps.map((each) => each.jobId), steps.map((each) => each.key)]);
}

const SHAPE = `
WITH leaving AS (
  SELECT job_id, key FROM steps WHERE status = 'collected' AND target = $2 AND coalesce(shape, '') = $3
  LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE steps s SET ${SET} FROM leaving l WHERE s.job_id = l.job_id AND s.key = l.key RETURNING ${WAKE_COLUMNS}`;

/** Sends the collected steps of a target and shape to realtime, at most `limit`. */
export async function leaveLaneByShape(
  database: Queryable,
  group: { target: string; shape: string },
  reason: string,
  limit: number,
): Promise<StepWakeOfBatch[]> {
  return database.query(SHAPE, [reason, group.target, group.shape, limit]);
}
