import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database } from '../database.ts';
import type { StepReference } from '../steps/claim-steps.ts';
import type { BatchRecord } from './batch-row.ts';

/** A collected step that is about to become a line. */
export interface NewLine extends StepReference {
  /** The step's fence before it is bound. */
  fence: number;
  line: number;
  purpose: 'answer' | 'repair';
  /** The most the line can cost; booked against the job's cap. */
  worstCaseMicroUsd: number;
  bytes: number;
  inputTokens: number;
}

/** What became of it. `overCap` could pass their jobs' caps and were left as they are. */
export interface BoundLines {
  bound: number;
  overCap: StepReference[];
  events: StoredEvent[];
}

/** Who stands still with a job's row locked must not keep all others out of the batch. */
const LOCK_JOBS = `
WITH patience AS (SELECT set_config('lock_timeout', '2s', true))
SELECT j.id, j.max_cost_micro_usd, j.cost_micro_usd, j.reserved_micro_usd FROM patience, jobs j
WHERE j.id = ANY ($1) AND j.finished_at IS NULL ORDER BY j.id FOR NO KEY UPDATE OF j`;

const BIND = `
WITH binding AS (
  SELECT * FROM json_to_recordset($1) AS l (
    "jobId" text, key text, fence int, line int, purpose text, "worstCaseMicroUsd" bigint, bytes bigint, "inputTokens" bigint)
), batch AS (
  SELECT id FROM provider_batches WHERE id = $2 AND fence = $3 AND status = 'gathering' FOR NO KEY UPDATE
), held AS (
  SELECT s.job_id, s.key FROM steps s JOIN binding b ON s.job_id = b."jobId" AND s.key = b.key
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s
), sent AS (
  UPDATE steps s SET status = 'sent', fence = s.fence + 1, owner = batch.id, batch_id = batch.id, wake_at = NULL,
    calls = s.calls + 1, batch_tries = s.batch_tries + 1, started_at = coalesce(s.started_at, now()),
    reserved_micro_usd = b."worstCaseMicroUsd"
  FROM batch, binding b JOIN held h ON h.job_id = b."jobId" AND h.key = b.key
  WHERE s.job_id = b."jobId" AND s.key = b.key AND s.fence = b.fence AND s.status = 'collected'
  RETURNING s.job_id, s.key, s.fence, s.target, s.calls AS number, s.reserved_micro_usd, b.line, b.purpose, b.bytes, b."inputTokens"
), booked AS (
  UPDATE jobs SET calls = jobs.calls + each.calls, reserved_micro_usd = jobs.reserved_micro_usd + each.reserved
  FROM (SELECT job_id, count(*)::int AS calls, sum(reserved_micro_usd) AS reserved FROM sent GROUP BY job_id) AS each
  WHERE jobs.id = each.job_id
), logged AS (
  INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner, batch_id, batch_line, reserved_micro_usd)
  SELECT job_id, key, number, fence, target, purpose, 'sent', $2, $2, line, reserved_micro_usd FROM sent
), counted AS (
  UPDATE provider_batches p SET line_count = p.line_count + each.lines, bytes = p.bytes + each.bytes,
    estimated_tokens = p.estimated_tokens + each.tokens, wake_at = greatest(p.wake_at, now() + interval '15 seconds')
  FROM (SELECT count(*)::int AS lines, coalesce(sum(bytes), 0) AS bytes, coalesce(sum("inputTokens"), 0) AS tokens FROM sent) AS each
  WHERE p.id IN (SELECT id FROM batch)
)
SELECT job_id, key, number, target FROM sent`;

/**
 * Makes collected steps lines of a batch, in one transaction: step, attempt, the booking against the job's cap, the event
 * `step.started`. Steps that are collected no more (escaped, cancelled) are left out, and nothing is bound when the claim
 * of the batch is lost: `bound` is 0 then.
 */
export async function bindLines(
  database: Database,
  batch: Pick<BatchRecord, 'id' | 'fence'>,
  lines: readonly NewLine[],
): Promise<BoundLines> {
  return database.transaction(async (transaction) => {
    const jobs = await transaction.query<JobCap>(LOCK_JOBS, [[...new Set(lines.map((each) => each.jobId))]]);
    const caps = new Map(jobs.map((job) => [job.id, job]));
    const verdicts = lines.map((line) => book(caps.get(line.jobId), line));
    const leaving = lines.filter((_, index) => verdicts[index] === 'go');
    const sent = await transaction.query<SentRow>(BIND, [JSON.stringify(leaving), batch.id, batch.fence]);
    const events = await appendEvents(
      transaction,
      sent.map(({ job_id: jobId, key: step, number: attempt, target }) => ({
        jobId,
        type: 'step.started' as const,
        data: { step, attempt, target, batch: batch.id },
      })),
    );
    const overCap = lines
      .filter((_, index) => verdicts[index] === 'over_cap')
      .map(({ jobId, key }) => ({ jobId, key }));
    return { bound: sent.length, overCap, events };
  });
}

interface SentRow {
  job_id: string;
  key: string;
  number: number;
  target: string;
}

interface JobCap {
  id: string;
  max_cost_micro_usd: number | null;
  cost_micro_usd: number;
  reserved_micro_usd: number;
}

/** Books on the locked row's copy, so that lines of one job see each other. */
function book(job: JobCap | undefined, line: NewLine): 'go' | 'stale' | 'over_cap' {
  if (!job) return 'stale';
  const booked = job.cost_micro_usd + job.reserved_micro_usd;
  const cap = job.max_cost_micro_usd;
  if (cap !== null && booked + line.worstCaseMicroUsd > cap) return 'over_cap';
  job.reserved_micro_usd += line.worstCaseMicroUsd;
  return 'go';
}
