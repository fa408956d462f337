import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database } from '../database.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

/** Steps that left the lane: what wakes them, and from where they came. */
export interface EscapedSteps {
  wakes: StepWakeOfBatch[];
  fromCollected: number;
  fromBatches: number;
  events: StoredEvent[];
}

const COLLECTED = `
WITH late AS (
  SELECT job_id, key FROM steps WHERE status = 'collected' AND escape_at <= now()
  ORDER BY escape_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE steps s SET status = 'pending', lane = 'realtime', lane_reason = $2, escaped_at = now(), escape_at = NULL,
  not_before = now(), class_since = now(), wake_at = now() + interval '10 seconds', wake_count = 0
FROM late WHERE s.job_id = late.job_id AND s.key = late.key
RETURNING ${WAKE_COLUMNS}`;

/** Jobs that somebody has locked are passed over, so that one who stands still with his keeps no other's deadline waiting. */
const FIND_BOUND = `
SELECT s.job_id, s.key FROM steps s JOIN jobs j ON j.id = s.job_id
WHERE s.status = 'sent' AND s.batch_id IS NOT NULL AND s.escape_at <= now()
ORDER BY s.escape_at LIMIT $1 FOR NO KEY UPDATE OF j SKIP LOCKED`;

const FIND_OF_BATCH = `
SELECT a.job_id, a.step_key AS key FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
JOIN jobs j ON j.id = a.job_id
WHERE a.batch_id = $2 AND a.status = 'sent' AND s.status = 'sent' AND s.fence = a.fence
LIMIT $1 FOR NO KEY UPDATE OF j SKIP LOCKED`;

/** What the line has booked stays on the job until it is known what it cost; the step is free to book its next call. */
const BOUND = `
WITH held AS (
  SELECT s.job_id, s.key, s.fence, s.batch_id FROM steps s JOIN unnest($1::text[], $2::text[]) AS w (job_id, key) USING (job_id, key)
  WHERE s.status = 'sent' AND s.batch_id IS NOT NULL AND ($4::text IS NULL AND s.escape_at <= now() OR s.batch_id = $4)
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s SKIP LOCKED
), free AS (
  UPDATE steps s SET status = 'pending', fence = s.fence + 1, owner = NULL, batch_id = NULL, lane = 'realtime',
    lane_reason = $3, escaped_at = now(), escape_at = NULL, reserved_micro_usd = 0, not_before = now(), class_since = now(),
    wake_at = now() + interval '10 seconds', wake_count = 0
  FROM held h WHERE s.job_id = h.job_id AND s.key = h.key
  RETURNING s.job_id, s.key, s.pool, s.fence, s.priority, s.estimated_tokens
), left_behind AS (
  UPDATE attempts a SET escaped = true FROM held h
  WHERE a.job_id = h.job_id AND a.step_key = h.key AND a.fence = h.fence AND a.status = 'sent'
  RETURNING a.job_id, a.step_key, a.number
)
SELECT ${WAKE_COLUMNS}, l.number
FROM free s LEFT JOIN left_behind l ON l.job_id = s.job_id AND l.step_key = s.key`;

/**
 * Takes steps whose time has come out of the batch lane, at most `limit` of those that wait and of those in batches: they
 * are pending in realtime, those from batches under a new fence, so that the line's late answer is refused. What somebody
 * has locked is left for the next time.
 */
export async function escapeLateSteps(database: Database, limit: number): Promise<EscapedSteps> {
  const collected = await database.query<StepWakeOfBatch>(COLLECTED, [limit, 'escaped_deadline']);
  const bound = await escapeBound(database, limit, null, 'escaped_deadline');
  return { ...bound, wakes: [...collected, ...bound.wakes], fromCollected: collected.length };
}

/**
 * Takes the steps that still wait for a batch out of it, at most `limit`; `reason` becomes the reason of their lane. What
 * somebody has locked is left for the next time.
 */
export async function escapeBatch(
  database: Database,
  batchId: string,
  reason: string,
  limit: number,
): Promise<EscapedSteps> {
  return escapeBound(database, limit, batchId, reason);
}

async function escapeBound(
  database: Database,
  limit: number,
  batchId: string | null,
  reason: string,
): Promise<EscapedSteps> {
  return database.transaction(async (transaction) => {
    const found = await transaction.query<{ job_id: string; key: string }>(
      batchId === null ? FIND_BOUND : FIND_OF_BATCH,
      batchId === null ? [limit] : [limit, batchId],
    );
    if (found.length === 0) return { wakes: [], fromCollected: 0, fromBatches: 0, events: [] };
    const jobIds = found.map((step) => step.job_id);
    const rows = await transaction.query<StepWakeOfBatch & { number: number | null }>(BOUND, [
      jobIds,
      found.map((step) => step.key),
      reason,
      batchId,
    ]);
    const events = await appendEvents(
      transaction,
      rows.map(({ jobId, key: step, number: attempt }) => ({
        jobId,
        type: 'step.retried' as const,
        data: { step, reason, attempt },
      })),
    );
    const wakes = rows.map(({ number: _number, ...wake }) => wake);
    return { wakes, fromCollected: 0, fromBatches: rows.length, events };
  });
}
