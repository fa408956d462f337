import type { Queryable } from '../database.ts';
import type { StepOutcome } from './step-outcome.ts';

const RELEASE = `
WITH refused AS (
  SELECT DISTINCT ON (job_id, key, number) * FROM json_to_recordset($1) AS j (
    job_id text, key text, number int, fence int, cost bigint, cost_known boolean)
), dropped AS (
  SELECT s.job_id, s.key,
    CASE WHEN r.cost_known THEN s.reserved_micro_usd ELSE least(s.reserved_micro_usd, r.cost) END AS reserved
  FROM steps s JOIN refused r ON s.job_id = r.job_id AND s.key = r.key AND s.fence = r.fence
  WHERE s.status = 'cancelled' AND s.reserved_micro_usd > 0
), lost AS (
  SELECT r.job_id, r.cost FROM refused r
  JOIN attempts a ON a.job_id = r.job_id AND a.step_key = r.key AND a.number = r.number
  WHERE a.status = 'ambiguous'
    -- One that was closed as lost while its step still had its booking: that is given back already.
    AND NOT EXISTS (SELECT FROM dropped d WHERE d.job_id = r.job_id AND d.key = r.key)
), late AS (
  SELECT a.job_id, a.step_key, a.number,
    CASE WHEN r.cost_known THEN a.reserved_micro_usd ELSE least(a.reserved_micro_usd, r.cost) END AS reserved
  FROM refused r
  JOIN attempts a ON a.job_id = r.job_id AND a.step_key = r.key AND a.number = r.number
  WHERE a.escaped AND a.status = 'sent' AND a.reserved_micro_usd > 0
), given_back AS (
  SELECT j.id, coalesce((SELECT sum(reserved) FROM dropped WHERE job_id = j.id), 0)
      + coalesce((SELECT sum(reserved) FROM late WHERE job_id = j.id), 0) AS of_dropped,
    coalesce((SELECT sum(cost) FROM lost WHERE job_id = j.id), 0) AS of_lost,
    j.reserved_micro_usd - (SELECT coalesce(sum(reserved_micro_usd), 0) FROM steps WHERE job_id = j.id) AS lost_at_most
  FROM jobs j WHERE j.id IN (SELECT job_id FROM dropped UNION SELECT job_id FROM lost UNION SELECT job_id FROM late)
), cleared AS (
  UPDATE steps s SET reserved_micro_usd = 0 FROM dropped d WHERE s.job_id = d.job_id AND s.key = d.key
), settled AS (
  UPDATE attempts a SET reserved_micro_usd = 0 FROM late l
  WHERE a.job_id = l.job_id AND a.step_key = l.step_key AND a.number = l.number
)
UPDATE jobs SET
  reserved_micro_usd = reserved_micro_usd - g.of_dropped - least(g.of_lost, greatest(g.lost_at_most, 0))
FROM given_back g WHERE jobs.id = g.id`;

/**
 * Gives back what calls have booked whose outcomes came too late to change their steps: all of it where the step was given
 * up meanwhile, or had left its batch for realtime, and no more than is settled where the cost is not known; of a call that
 * counted as lost as much as it turns out to have cost (its own booking is not known any more). So what is settled and
 * reserved together does not grow. The caller's transaction holds the rows of jobs and steps, and has not ended the attempts
 * yet.
 */
export async function releaseRefused(transaction: Queryable, refused: readonly StepOutcome[]): Promise<void> {
  const rows = refused.flatMap((outcome) => {
    const { jobId, key, fence, attempt } = outcome;
    if (attempt === null) return [];
    const { number } = attempt;
    return [{ job_id: jobId, key, number, fence, cost: costOf(outcome), cost_known: isCostKnown(outcome) }];
  });
  if (rows.length > 0) await transaction.query(RELEASE, [JSON.stringify(rows)]);
}

/**
 * False for a call that may have been billed without our knowing how much: what it booked stays on the job, less what is
 * settled by estimate. One that we ended ourselves is taken at its estimate: the end of its connection told the provider to
 * stop.
 */
export function isCostKnown({ attempt }: StepOutcome): boolean {
  if (attempt === null || !attempt.ambiguous) return true;
  return attempt.usage !== null && !(attempt.usage.estimated && attempt.status === 'failed');
}

/** What is settled for a call, in micro-dollars. */
export function costOf({ attempt }: StepOutcome): number {
  return attempt?.usage?.costMicroUsd ?? 0;
}
