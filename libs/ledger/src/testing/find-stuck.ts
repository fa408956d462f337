import type { Queryable } from '../database.ts';

/** A row that nobody will ever touch again although it has not ended. */
export interface Stuck {
  kind: 'job' | 'step' | 'delivery';
  id: string;
  status: string;
  why: string;
}

/**
 * The rule that all recovery rests on: what has not ended is overdue one day (`wake_at`), or waits for something that
 * is. A job may wait for an open step, or for a person who decides about a held one; a collected step waits for its
 * batch. Time passing is no excuse: `wake_at` must lie within `horizonMs`, save for a deadline.
 */
const STUCK = `
SELECT 'job' AS kind, j.id, j.status, 'no wake_at, no open step with one, nothing held' AS why FROM jobs j
WHERE j.finished_at IS NULL AND j.status <> 'requires_action' AND j.wake_at IS NULL AND NOT EXISTS (
  SELECT FROM steps s WHERE s.job_id = j.id AND (s.wake_at IS NOT NULL OR s.batch_id IS NOT NULL OR s.status IN ('held', 'collected')))
UNION ALL
SELECT 'job', j.id, j.status, 'every step has ended and only the deadline wakes it' FROM jobs j
WHERE j.finished_at IS NULL AND j.wake_at = j.deadline_at AND j.deadline_at > now() AND j.status = 'in_progress'
  AND NOT EXISTS (SELECT FROM steps s WHERE s.job_id = j.id AND s.status NOT IN ('completed', 'failed', 'cancelled'))
UNION ALL
SELECT 'job', j.id, j.status, 'waits for a decision and holds nothing' FROM jobs j
WHERE j.status = 'requires_action' AND j.wake_at IS NULL AND NOT EXISTS (
  SELECT FROM steps s WHERE s.job_id = j.id AND (s.wake_at IS NOT NULL OR s.batch_id IS NOT NULL OR s.status IN ('held', 'collected')))
UNION ALL
SELECT 'job', j.id, j.status, 'has ended and would be woken' FROM jobs j
WHERE j.finished_at IS NOT NULL AND j.wake_at IS NOT NULL
UNION ALL
SELECT 'step', s.job_id || ' ' || s.key, s.status, 'no wake_at, or one too far away' FROM steps s
WHERE s.status IN ('pending', 'claimed', 'sent') AND s.batch_id IS NULL
  AND (s.wake_at IS NULL OR s.wake_at > greatest(now(), s.not_before) + $1 * interval '1 millisecond')
UNION ALL
SELECT 'step', s.job_id || ' ' || s.key, s.status, 'is bound to a batch that has ended' FROM steps s
WHERE s.status = 'sent' AND s.batch_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM provider_batches b WHERE b.id = s.batch_id AND b.status <> 'ended')
UNION ALL
SELECT 'step', s.job_id || ' ' || s.key, s.status, 'is open in a job that has ended' FROM steps s JOIN jobs j ON j.id = s.job_id
WHERE j.finished_at IS NOT NULL AND s.status NOT IN ('completed', 'failed', 'cancelled')
UNION ALL
SELECT 'step', s.job_id || ' ' || s.key, s.status, 'has ended and would be woken' FROM steps s
WHERE s.status NOT IN ('pending', 'claimed', 'sent') AND s.wake_at IS NOT NULL
UNION ALL
SELECT 'delivery', d.id, d.status, 'no wake_at' FROM webhook_deliveries d WHERE d.status = 'pending' AND d.wake_at IS NULL`;

/** Every row that breaks the rule of recovery; empty when all is well. */
export async function findStuck(database: Queryable, horizonMs = 310_000): Promise<Stuck[]> {
  return database.query<Stuck>(STUCK, [horizonMs]);
}
