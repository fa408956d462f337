import type { ErrorCode } from '@millrace/contracts';
import type { Database, Queryable } from '../database.ts';
import { WAKE_COLUMNS } from './step-wake-of-batch.ts';
import type { StepWakeOfBatch } from './step-wake-of-batch.ts';

const PICK = `
WITH pilot AS (
  SELECT s.job_id, s.key FROM steps s JOIN jobs j ON j.id = s.job_id
  WHERE s.status = 'collected' AND s.target = $1 AND coalesce(s.shape, '') = $2 AND j.tenant_id IS DISTINCT FROM $3
  ORDER BY s.created_at, s.job_id, s.key LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE steps s SET status = 'pending', lane = 'realtime', lane_reason = 'pilot', escape_at = NULL, not_before = now(), class_since = now(),
  wake_at = now() + interval '10 seconds', wake_count = 0
FROM pilot p WHERE s.job_id = p.job_id AND s.key = p.key
RETURNING ${WAKE_COLUMNS}`;

const LAST_TENANT = `
SELECT j.tenant_id AS "tenantId" FROM batch_shapes b JOIN jobs j ON j.id = b.pilot_job_id WHERE b.target = $1 AND b.shape = $2`;

const TRY = `
INSERT INTO batch_shapes (target, shape, status, pilot_job_id, pilot_key) VALUES ($1, $2, 'trying', $3, $4)
ON CONFLICT (target, shape) DO UPDATE SET status = 'trying', pilot_job_id = excluded.pilot_job_id,
  pilot_key = excluded.pilot_key, pilots = batch_shapes.pilots + 1, changed_at = now()`;

/**
 * Sends one collected step of a shape to realtime, to see whether the provider takes such a request: of another tenant than the
 * last one, if there is any, since one tenant's prompts may tell nothing again and again. Null when there is none.
 */
export async function tryShape(
  database: Database,
  group: { target: string; shape: string },
): Promise<StepWakeOfBatch | null> {
  return database.transaction(async (transaction) => {
    const shape = [group.target, group.shape];
    const [last] = await transaction.query<{ tenantId: string }>(LAST_TENANT, shape);
    const pick = (notOf: string | null): Promise<StepWakeOfBatch[]> =>
      transaction.query<StepWakeOfBatch>(PICK, [...shape, notOf]);
    const [other] = last ? await pick(last.tenantId) : [];
    const [pilot] = other ? [other] : await pick(null);
    if (!pilot) return null;
    await transaction.query(TRY, [group.target, group.shape, pilot.jobId, pilot.key]);
    return pilot;
  });
}

/**
 * A pilot that waits too long, that another target answered or that failed for a reason of its own time is undecided: it says nothing
 * of the shape, and another one is sent later. One that cannot have been sent (its job was cancelled, or may not cost as much) does not
 * count at all.
 */
const SETTLE = `
WITH ended AS (
  SELECT b.target, b.shape, CASE
      WHEN s.key IS NULL OR s.status = 'cancelled' OR s.status = 'failed' AND s.error->>'code' = ANY ($5) THEN 'unsent'
      WHEN s.target IS DISTINCT FROM b.target THEN 'undecided'
      WHEN s.status = 'completed' OR s.status = 'failed' AND s.error->>'code' = ANY ($3) THEN 'taken'
      WHEN s.status = 'failed' AND s.error->>'code' = ANY ($4) THEN 'refused'
      ELSE 'undecided' END AS verdict
  FROM batch_shapes b LEFT JOIN steps s ON s.job_id = b.pilot_job_id AND s.key = b.pilot_key
  WHERE b.status = 'trying'
    AND (s.key IS NULL OR s.status IN ('completed', 'failed', 'cancelled') OR b.changed_at < now() - $2 * interval '1 millisecond')
)
UPDATE batch_shapes b SET changed_at = now(), refusals = b.refusals + (e.verdict = 'refused')::int,
  pilots = b.pilots - (e.verdict = 'unsent')::int, status = CASE
    WHEN e.verdict = 'taken' THEN 'proven'
    WHEN e.verdict = 'refused' AND b.refusals + 1 >= $1 THEN 'refused'
    ELSE 'untried' END
FROM ended e WHERE b.target = e.target AND b.shape = e.shape AND b.status = 'trying'
RETURNING b.target, b.shape, b.status AS trial`;

/** Failures of requests that the provider took as they were: only their text was too long, or the answer of no use. */
const SHOWS_TAKEN: readonly ErrorCode[] = [
  'content_refused',
  'context_length_exceeded',
  'output_invalid',
  'output_truncated',
];

/** Failures of calls that never left. */
const NEVER_SENT: readonly ErrorCode[] = ['call_too_large', 'cost_cap_exceeded'];

/** All other failures befall any request at a bad time. */
const SHOWS_REFUSED: readonly ErrorCode[] = ['provider_refused_request'];

/**
 * Looks at the pilots: one that the provider took proves its shape, whatever its answer was worth; after `maxPilots` that it
 * refused as wrong the shape is refused; one that was cancelled, or has not ended for `patienceMs`, or met an outage, lets
 * another one be tried.
 */
export async function settlePilots(
  database: Queryable,
  maxPilots: number,
  patienceMs: number,
): Promise<{ target: string; shape: string; trial: 'untried' | 'proven' | 'refused' }[]> {
  return database.query(SETTLE, [maxPilots, patienceMs, SHOWS_TAKEN, SHOWS_REFUSED, NEVER_SENT]);
}
