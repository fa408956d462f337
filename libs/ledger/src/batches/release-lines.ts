import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database } from '../database.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

/** Lines that were not billed and give their steps back. */
export interface Release {
  batchId: string;
  lines: readonly number[];
  /** Why, as a code for the attempt, the event and the step's lane. */
  reason: string;
  message: string;
  /** Steps that may stay this long in the lane are collected again; null sends all of them to realtime. */
  batchTakesMs: number | null;
  /** Steps that were in this many batches go to realtime. */
  maxBatches: number;
  /** False where the batch never began (the queue of the provider was full): it is not one of those many. */
  countsBatch: boolean;
  /** How long a step that is collected again waits. */
  delayMs: number;
}

/** What became of them; the wakes are those of the steps that go on in realtime. */
export interface ReleasedLines {
  collected: number;
  /** Lines that were left as they are, because somebody has locked their jobs: they are to be released later. */
  held: number;
  wakes: StepWakeOfBatch[];
  events: StoredEvent[];
}

const LOCK_JOBS = `
SELECT id FROM jobs WHERE id IN (SELECT job_id FROM attempts WHERE batch_id = $1 AND batch_line = ANY ($2))
ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`;

/** Lines of jobs that somebody else has locked. */
const COUNT_HELD = `
SELECT count(*)::int AS held FROM attempts
WHERE batch_id = $1 AND batch_line = ANY ($2) AND status = 'sent' AND NOT job_id = ANY ($3)`;

/** In the order that everybody keeps. */
const LOCK_STEPS = `
WITH patience AS (SELECT set_config('lock_timeout', '2s', true))
SELECT s.key FROM patience, steps s JOIN attempts a ON a.job_id = s.job_id AND a.step_key = s.key
WHERE a.batch_id = $1 AND a.batch_line = ANY ($2) AND a.job_id = ANY ($3) ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s`;

const RELEASE = `
WITH line AS (
  SELECT a.job_id, a.step_key AS key, a.number, a.fence, a.reserved_micro_usd AS reserved, a.escaped FROM attempts a
  WHERE a.batch_id = $1 AND a.batch_line = ANY ($2) AND a.status = 'sent' AND a.job_id = ANY ($9)
), back AS (
  UPDATE steps s SET
    status = CASE WHEN stays THEN 'collected' ELSE 'pending' END, lane = CASE WHEN stays THEN 'batch' ELSE 'realtime' END,
    lane_reason = $3, class_since = now(), owner = NULL, batch_id = NULL, reserved_micro_usd = 0, wake_count = 0,
    not_before = now() + CASE WHEN stays THEN $7 * interval '1 millisecond' ELSE interval '0' END,
    wake_at = CASE WHEN stays THEN NULL ELSE now() + interval '10 seconds' END,
    escaped_at = CASE WHEN stays THEN s.escaped_at ELSE now() END, escape_at = CASE WHEN stays THEN s.escape_at END,
    batch_tries = s.batch_tries - CASE WHEN $8 THEN 0 ELSE 1 END
  FROM line l, LATERAL (
    SELECT $5::float8 IS NOT NULL AND (inner_s.escape_at IS NULL OR inner_s.escape_at > now() + $5 * interval '1 millisecond')
      AND (inner_s.batch_tries < $6 OR NOT $8::boolean) AS stays
    FROM steps inner_s WHERE inner_s.job_id = l.job_id AND inner_s.key = l.key
  ) AS where_to
  WHERE s.job_id = l.job_id AND s.key = l.key AND s.fence = l.fence AND s.status = 'sent'
  RETURNING s.job_id, s.key, s.pool, s.fence, s.priority, s.estimated_tokens, s.status, l.number
), dropped AS (
  UPDATE steps s SET reserved_micro_usd = 0 FROM line l
  WHERE s.job_id = l.job_id AND s.key = l.key AND s.fence = l.fence AND s.status = 'cancelled'
), ended AS (
  UPDATE attempts a SET status = CASE WHEN b.key IS NULL AND NOT l.escaped THEN 'cancelled' ELSE 'interrupted' END,
    finished_at = now(), error_code = $3, error_message = $4, reserved_micro_usd = 0
  FROM line l LEFT JOIN back b ON b.job_id = l.job_id AND b.key = l.key
  WHERE a.job_id = l.job_id AND a.step_key = l.key AND a.number = l.number
), given_back AS (
  UPDATE jobs SET reserved_micro_usd = greatest(jobs.reserved_micro_usd - each.reserved, 0)
  FROM (SELECT job_id, sum(reserved) AS reserved FROM line GROUP BY job_id) AS each WHERE jobs.id = each.job_id
)
SELECT ${WAKE_COLUMNS}, s.status = 'collected' AS collected, s.number FROM back s`;

/**
 * Ends lines that the provider has not billed (their batch was refused, failed, expired or was cancelled), in one
 * transaction: steps that still wait for them are collected again where time remains, else go to realtime; what the lines
 * had booked is given back. Lines that have an outcome already are left alone.
 */
export async function releaseLines(database: Database, release: Release): Promise<ReleasedLines> {
  const { batchId, lines, reason, message, batchTakesMs, maxBatches, delayMs, countsBatch } = release;
  return database.transaction(async (transaction) => {
    const locked = await transaction.query<{ id: string }>(LOCK_JOBS, [batchId, lines]);
    const jobIds = locked.map((job) => job.id);
    await transaction.query(LOCK_STEPS, [batchId, lines, jobIds]);
    const [left] = await transaction.query<{ held: number }>(COUNT_HELD, [batchId, lines, jobIds]);
    const rows = await transaction.query<StepWakeOfBatch & { collected: boolean; number: number }>(RELEASE, [
      batchId,
      lines,
      reason,
      message,
      batchTakesMs,
      maxBatches,
      delayMs,
      countsBatch,
      jobIds,
    ]);
    const events = await appendEvents(
      transaction,
      rows.map(({ jobId, key: step, number: attempt }) => ({
        jobId,
        type: 'step.retried' as const,
        data: { step, reason, attempt },
      })),
    );
    const wakes = rows
      .filter((row) => !row.collected)
      .map(({ collected: _collected, number: _number, ...wake }) => wake);
    return { collected: rows.length - wakes.length, held: left?.held ?? 0, wakes, events };
  });
}
