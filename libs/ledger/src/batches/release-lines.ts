import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database } from '../database.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

/** Lines that will not be answered any more and give their steps back. */
export interface Release {
  batchId: string;
  lines: readonly number[];
  /** Why, as a code for the attempt, the event and the step's lane. */
  reason: string;
  message: string;
  /** The provider may have answered and billed them although nobody can read it: calls whose answer is lost. */
  maybeBilled: boolean;
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
  /** Of the wakes: steps whose tenants want to be asked before a call whose answer is lost is sent again. */
  toBeAsked: number;
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
  SELECT a.job_id, a.step_key AS key, a.number, a.fence, a.reserved_micro_usd AS reserved, a.escaped,
    $10::boolean AND coalesce(t.ambiguous_policy = 'hold', false) AS asks
  FROM attempts a JOIN jobs j ON j.id = a.job_id LEFT JOIN tenants t ON t.id = j.tenant_id
  WHERE a.batch_id = $1 AND a.batch_line = ANY ($2) AND a.status = 'sent' AND a.job_id = ANY ($9)
), back AS (
  UPDATE steps s SET
    status = CASE WHEN stays THEN 'collected' ELSE 'pending' END, lane = CASE WHEN stays THEN 'batch' ELSE 'realtime' END,
    lane_reason = $3, class_since = now(), owner = NULL, batch_id = NULL, reserved_micro_usd = 0, wake_count = 0,
    not_before = now() + CASE WHEN stays THEN $7 * interval '1 millisecond' ELSE interval '0' END,
    wake_at = CASE WHEN stays THEN NULL ELSE now() + interval '10 seconds' END,
    escaped_at = CASE WHEN stays THEN s.escaped_at ELSE now() END, escape_at = CASE WHEN stays THEN s.escape_at END,
    batch_tries = s.batch_tries - CASE WHEN $8 THEN 0 ELSE 1 END,
    -- As with a call whose worker died: what it may have cost stays booked on the job, and whoever claims it next asks.
    ambiguous = s.ambiguous OR $10, ambiguous_calls = s.ambiguous_calls + CASE WHEN $10 THEN 1 ELSE 0 END, answer_lost = l.asks
  FROM line l, LATERAL (
    SELECT NOT l.asks AND $5::float8 IS NOT NULL AND (inner_s.escape_at IS NULL OR inner_s.escape_at > now() + $5 * interval '1 millisecond')
      AND (inner_s.batch_tries < $6 OR NOT $8::boolean) AS stays
    FROM steps inner_s WHERE inner_s.job_id = l.job_id AND inner_s.key = l.key
  ) AS where_to
  WHERE s.job_id = l.job_id AND s.key = l.key AND s.fence = l.fence AND s.status = 'sent'
  RETURNING s.job_id, s.key, s.pool, s.fence, s.priority, s.estimated_tokens, s.status, l.number, l.asks
), gone_on AS (
  UPDATE steps s SET
    reserved_micro_usd = CASE WHEN s.fence = l.fence AND s.status = 'cancelled' THEN 0 ELSE s.reserved_micro_usd END,
    ambiguous = s.ambiguous OR $10, ambiguous_calls = s.ambiguous_calls + CASE WHEN $10 THEN 1 ELSE 0 END
  FROM line l
  WHERE s.job_id = l.job_id AND s.key = l.key AND NOT (s.fence = l.fence AND s.status = 'sent')
    AND ($10 OR s.fence = l.fence AND s.status = 'cancelled')
), ended AS (
  UPDATE attempts a SET
    status = CASE WHEN $10 THEN 'ambiguous' WHEN b.key IS NULL AND NOT l.escaped THEN 'cancelled' ELSE 'interrupted' END,
    finished_at = now(), error_code = $3, error_message = $4, reserved_micro_usd = 0
  FROM line l LEFT JOIN back b ON b.job_id = l.job_id AND b.key = l.key
  WHERE a.job_id = l.job_id AND a.step_key = l.key AND a.number = l.number
), settled AS (
  UPDATE jobs SET
    reserved_micro_usd = greatest(jobs.reserved_micro_usd - CASE WHEN $10 THEN 0 ELSE each.reserved END, 0),
    ambiguous_calls = jobs.ambiguous_calls + CASE WHEN $10 THEN each.lines ELSE 0 END
  FROM (SELECT job_id, sum(reserved) AS reserved, count(*)::int AS lines FROM line GROUP BY job_id) AS each
  WHERE jobs.id = each.job_id
)
SELECT ${WAKE_COLUMNS}, s.status = 'collected' AS collected, s.number, s.asks FROM back s`;

/**
 * Ends lines that will not be answered any more, in one transaction: steps that still wait for them are collected again where time
 * remains, else go to realtime. Where the provider has not billed them (their batch was refused, failed, expired or was cancelled) what
 * they had booked is given back. Where it may have (`maybeBilled`) the booking stays, they count as ambiguous on their steps and
 * jobs, and steps of tenants with the policy `hold` go to realtime to be held there. Lines that have an outcome already are left alone.
 */
export async function releaseLines(database: Database, release: Release): Promise<ReleasedLines> {
  const { batchId, lines, reason, message, maybeBilled, batchTakesMs, maxBatches, delayMs, countsBatch } =
    release;
  return database.transaction(async (transaction) => {
    const locked = await transaction.query<{ id: string }>(LOCK_JOBS, [batchId, lines]);
    const jobIds = locked.map((job) => job.id);
    await transaction.query(LOCK_STEPS, [batchId, lines, jobIds]);
    const [left] = await transaction.query<{ held: number }>(COUNT_HELD, [batchId, lines, jobIds]);
    const rows = await transaction.query<ReleasedRow>(RELEASE, [
      batchId,
      lines,
      reason,
      message,
      batchTakesMs,
      maxBatches,
      delayMs,
      countsBatch,
      jobIds,
      maybeBilled,
    ]);
    const goOn = rows.filter((row) => !row.asks);
    const events = await appendEvents(
      transaction,
      goOn.map(({ jobId, key: step, number: attempt }) => ({
        jobId,
        type: 'step.retried' as const,
        data: { step, reason, attempt },
      })),
    );
    const wakes = rows
      .filter((row) => !row.collected)
      .map(({ collected: _collected, number: _number, asks: _asks, ...wake }) => wake);
    return {
      collected: rows.length - wakes.length,
      held: left?.held ?? 0,
      toBeAsked: rows.length - goOn.length,
      wakes,
      events,
    };
  });
}

type ReleasedRow = StepWakeOfBatch & { collected: boolean; number: number; asks: boolean };
