import type { Database, Queryable } from '../database.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

const PICK = `
WITH pilot AS (
  SELECT job_id, key FROM steps WHERE status = 'collected' AND target = $1 AND coalesce(shape, '') = $2
  ORDER BY created_at, job_id, key LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE steps s SET status = 'pending', lane = 'realtime', lane_reason = 'pilot', escape_at = NULL, not_before = now(), class_since = now(),
  wake_at = now() + interval '10 seconds', wake_count = 0
FROM pilot p WHERE s.job_id = p.job_id AND s.key = p.key
RETURNING ${WAKE_COLUMNS}`;

const TRY = `
INSERT INTO batch_shapes (target, shape, status, pilot_job_id, pilot_key) VALUES ($1, $2, 'trying', $3, $4)
ON CONFLICT (target, shape) DO UPDATE SET status = 'trying', pilot_job_id = excluded.pilot_job_id,
  pilot_key = excluded.pilot_key, pilots = batch_shapes.pilots + 1, changed_at = now()`;

/** Sends one collected step of a shape to realtime, to see whether the provider takes such a request. Null when there is none. */
export async function tryShape(
  database: Database,
  group: { target: string; shape: string },
): Promise<StepWakeOfBatch | null> {
  return database.transaction(async (transaction) => {
    const [pilot] = await transaction.query<StepWakeOfBatch>(PICK, [group.target, group.shape]);
    if (!pilot) return null;
    await transaction.query(TRY, [group.target, group.shape, pilot.jobId, pilot.key]);
    return pilot;
  });
}

/**
 * A pilot that has gone (its job was cancelled, it waits too long), that another target answered or that failed for a reason
 * of its own time says nothing: the next one is sent.
 */
const SETTLE = `
UPDATE batch_shapes b SET changed_at = now(), status = CASE
    WHEN s.status = 'completed' AND s.target = b.target THEN 'proven'
    WHEN s.status = 'failed' AND b.pilots >= $1 AND coalesce(s.error->>'code', '') <> ALL ($3) THEN 'refused'
    ELSE 'untried' END
FROM batch_shapes o LEFT JOIN steps s ON s.job_id = o.pilot_job_id AND s.key = o.pilot_key
WHERE b.target = o.target AND b.shape = o.shape AND b.status = 'trying'
  AND (s.key IS NULL OR s.status IN ('completed', 'failed', 'cancelled') OR b.changed_at < now() - $2 * interval '1 millisecond')
RETURNING b.target, b.shape, b.status AS trial`;

/** What befalls any request at a bad time. */
const SAYS_NOTHING = [
  'provider_auth',
  'provider_quota',
  'provider_rate_limited',
  'provider_unavailable',
  'provider_timeout',
  'providers_unavailable',
  'internal_error',
  'retries_exhausted',
  'cost_cap_exceeded',
  'deadline_exceeded',
  'worker_crashed',
  'ambiguous_refused',
];

/**
 * Looks at the pilots: a completed one proves its shape; after `maxPilots` that failed the shape is refused; one that was
 * cancelled, or has not ended for `patienceMs`, or met an outage, lets another one be tried.
 */
export async function settlePilots(
  database: Queryable,
  maxPilots: number,
  patienceMs: number,
): Promise<{ target: string; shape: string; trial: 'untried' | 'proven' | 'refused' }[]> {
  return database.query(SETTLE, [maxPilots, patienceMs, SAYS_NOTHING]);
}
