import { hasDefect } from '@millrace/faults';
import type { Queryable } from '../database.ts';
import { costOf, isCostKnown } from './release-refused.ts';
import type { StepOutcome } from './step-outcome.ts';

const RECORD_STEPS = `
WITH outcome AS (
  SELECT * FROM json_to_recordset($1) AS j (
    position int, job_id text, key text, fence int, status text, output text, error text, delay_ms float8, target text,
    pool text, repair text, gave_up boolean, counts_attempt boolean, is_repair boolean, ambiguous boolean, cost bigint, cost_known boolean,
    degraded text, mean_logprob float8)
), before AS (
  SELECT s.job_id, s.key, s.pool, s.lane, s.reserved_micro_usd FROM steps s WHERE (s.job_id, s.key) IN (SELECT job_id, key FROM outcome)
), ranked AS (
  SELECT o.*, j.last_ordinal + row_number() OVER (
    PARTITION BY o.job_id, o.status IN ('completed', 'failed') ORDER BY o.position) AS next_ordinal
  FROM outcome o JOIN jobs j ON j.id = o.job_id
), written AS (
  UPDATE steps s SET
    status = r.status, output = r.output::json, error = coalesce(r.error::json, CASE WHEN r.status = 'pending' THEN s.error END),
    ordinal = CASE WHEN r.status IN ('completed', 'failed') THEN r.next_ordinal END,
    finished_at = CASE WHEN r.status IN ('completed', 'failed') THEN now() END,
    owner = NULL, reserved_micro_usd = 0, answer_lost = false, wake_count = 0,
    not_before = CASE WHEN r.status = 'pending' THEN now() + r.delay_ms * interval '1 millisecond' ELSE s.not_before END,
    wake_at = CASE WHEN r.status = 'pending' THEN now() + (r.delay_ms + 10000) * interval '1 millisecond' END,
    spent_targets = CASE WHEN r.gave_up THEN s.spent_targets || s.target ELSE s.spent_targets END,
    target = coalesce(r.target, s.target), pool = coalesce(r.pool, s.pool),
    target_attempts = CASE WHEN r.target IS NOT NULL THEN 0 ELSE s.target_attempts + CASE WHEN r.counts_attempt THEN 1 ELSE 0 END END,
    attempts = s.attempts + CASE WHEN r.counts_attempt THEN 1 ELSE 0 END,
    repairs = s.repairs + CASE WHEN r.is_repair THEN 1 ELSE 0 END,
    repair = CASE WHEN r.status = 'pending' THEN coalesce(r.repair::json, s.repair) END,
    ambiguous = s.ambiguous OR r.ambiguous, ambiguous_calls = s.ambiguous_calls + CASE WHEN r.ambiguous THEN 1 ELSE 0 END,
    deaths = CASE WHEN r.counts_attempt OR r.is_repair THEN 0 ELSE s.deaths END,
    -- What has to be done again is done in realtime: the other lanes have had their chance.
    lane = CASE WHEN r.status = 'pending' AND (s.lane = 'batch' OR s.lane = 'flex' AND (r.counts_attempt OR r.is_repair))
      THEN 'realtime' ELSE s.lane END,
    lane_reason = CASE WHEN r.status = 'pending' AND (s.lane = 'batch' OR s.lane = 'flex' AND (r.counts_attempt OR r.is_repair))
      THEN 'again_after_' || s.lane ELSE s.lane_reason END,
    -- In a batch it waited in no queue.
    class_since = CASE WHEN r.status = 'pending' AND s.lane = 'batch' THEN now() ELSE s.class_since END,
    -- A step that moves on is as degraded as the target that it goes to.
    degraded = CASE WHEN r.target IS NOT NULL THEN r.degraded ELSE coalesce(r.degraded, s.degraded) END,
    mean_logprob = r.mean_logprob,
    batch_id = CASE WHEN r.status = 'pending' THEN NULL ELSE s.batch_id END,
    escape_at = CASE WHEN r.status = 'pending' THEN NULL ELSE s.escape_at END
  FROM ranked r
  WHERE s.job_id = r.job_id AND s.key = r.key AND s.fence = r.fence AND s.status IN ('claimed', 'sent')
  RETURNING s.job_id, s.key, s.status, s.barrier, s.pool, s.fence, s.estimated_tokens, s.ordinal, r.position, r.ambiguous, r.cost, r.cost_known, s.degraded
), ended AS (
  SELECT job_id, count(*) FILTER (WHERE status IN ('completed', 'failed'))::int AS endings,
    count(*) FILTER (WHERE status = 'completed')::int AS done,
    bool_or(status = 'held') AS holds, bool_or(status = 'completed' AND degraded IS NOT NULL) AS degraded, max(ordinal) AS last_ordinal, count(*) FILTER (WHERE ambiguous)::int AS ambiguous_calls,
    bool_or(status = 'failed' OR status = 'completed' AND (barrier IS NULL OR NOT EXISTS (
      SELECT FROM steps o WHERE o.job_id = w.job_id AND o.barrier = w.barrier
        AND o.status IN ('pending', 'collected', 'claimed', 'sent', 'held')
        AND NOT EXISTS (SELECT FROM written x WHERE x.job_id = o.job_id AND x.key = o.key AND x.status IN ('completed', 'failed'))
    ))) AS urgent
  FROM written w GROUP BY job_id
), released AS (
  SELECT b.job_id,
    sum(CASE WHEN w.cost_known THEN b.reserved_micro_usd ELSE least(b.reserved_micro_usd, w.cost) END) AS reserved
  FROM before b JOIN written w ON w.job_id = b.job_id AND w.key = b.key GROUP BY b.job_id
), counted AS (
  UPDATE jobs SET
    last_ordinal = greatest(jobs.last_ordinal, e.last_ordinal), steps_done = steps_done + e.done, steps_open = steps_open - e.endings,
    ambiguous_calls = jobs.ambiguous_calls + e.ambiguous_calls, degraded = jobs.degraded OR e.degraded,
    reserved_micro_usd = greatest(jobs.reserved_micro_usd - l.reserved, 0),
    status = CASE WHEN e.holds AND jobs.finished_at IS NULL THEN 'requires_action' ELSE jobs.status END,
    wake_at = CASE WHEN jobs.finished_at IS NULL AND e.endings > 0 AND (e.urgent OR steps_open - e.endings <= 0)
      THEN least(now() + interval '5 seconds', deadline_at) ELSE jobs.wake_at END,
    progress_at = CASE WHEN e.done > 0
        AND (progress_at IS NULL OR progress_at < now() - interval '1 second' OR jobs.steps_open - e.endings <= 0)
      THEN now() ELSE progress_at END
  FROM ended e JOIN released l ON l.job_id = e.job_id WHERE jobs.id = e.job_id
  RETURNING jobs.id, jobs.steps_open, jobs.steps_done, jobs.steps_known,
    greatest(jobs.steps_answered, jobs.steps_done) AS steps_answered, jobs.progress_at = now() AS progressed, e.urgent,
    e.endings, e.holds, jobs.finished_at IS NOT NULL AS over
)
SELECT w.position, w.job_id, w.pool, w.pool <> b.pool OR b.lane = 'batch' AS moved, w.estimated_tokens, w.fence, w.status, c.progressed, c.steps_done, c.steps_known, c.steps_answered, c.holds,
  c.endings > 0 AND NOT c.over AND (c.urgent OR c.steps_open <= 0) AS may_advance
FROM written w JOIN counted c ON c.id = w.job_id JOIN before b ON b.job_id = w.job_id AND b.key = w.key`;

/**
 * Writes the next state of claimed steps and what it means for their jobs: counts, status, reservations, wakes. Returns a
 * row for each outcome that was taken; one with an old fence has none. The caller's transaction holds the rows of the jobs
 * and of the steps.
 */
export async function writeOutcomes(
  transaction: Queryable,
  outcomes: readonly StepOutcome[],
): Promise<WrittenOutcome[]> {
  return transaction.query<WrittenOutcome>(recordSteps(), [JSON.stringify(outcomes.map(toRow))]);
}

/** `position` is the outcome's place in the list. */
export interface WrittenOutcome {
  position: number;
  job_id: string;
  pool: string;
  moved: boolean;
  estimated_tokens: number;
  fence: number;
  status: string;
  progressed: boolean | null;
  steps_done: number;
  steps_answered: number;
  steps_known: number;
  holds: boolean;
  may_advance: boolean;
}

/** The statement as it is; the chaos programme may take a defence out of it. */
function recordSteps(): string {
  if (hasDefect('skip-fence')) return RECORD_STEPS.replace('AND s.fence = r.fence', '');
  if (hasDefect('leak-reservation')) return RECORD_STEPS.replace('- l.reserved', '- 0 * l.reserved');
  return RECORD_STEPS;
}

function toRow(outcome: StepOutcome, position: number) {
  const { next } = outcome;
  const base = {
    position,
    job_id: outcome.jobId,
    key: outcome.key,
    fence: outcome.fence,
    status: next.status,
    ambiguous: outcome.attempt?.ambiguous ?? false,
    cost: costOf(outcome),
    cost_known: isCostKnown(outcome),
  };
  if (next.status === 'completed') {
    const { degraded, meanLogprob } = next;
    return { ...base, output: JSON.stringify(next.output), degraded, mean_logprob: meanLogprob };
  }
  if (next.status !== 'pending') return { ...base, error: JSON.stringify(next.error) };
  return {
    ...base,
    delay_ms: next.delayMs,
    target: next.move?.target,
    pool: next.move?.pool,
    gave_up: next.move?.gaveUp,
    degraded: next.move?.degraded,
    repair: next.repair === null ? undefined : JSON.stringify(next.repair),
    counts_attempt: next.countsAttempt,
    is_repair: next.repair !== null,
  };
}
