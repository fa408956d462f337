import type { Queryable } from '../database.ts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import type { ClaimRow } from '../steps/read-claim.ts';
import { batchStepColumns, fittingKeys, toStepToSend } from './batch-step.ts';
import type { SizedKey } from './batch-step.ts';

/** A collected step that may become a line. */
export interface Candidate extends ClaimedStep {
  /** False where its tenant has forbidden provider batches since it was placed. */
  batchAllowed: boolean;
}

/** What one look takes at most, so that memory stays flat however long the prompts are. */
const BYTES_AT_A_TIME = 8_000_000;

/** The sizes are read before the contents: a page of large prompts must not be loaded to be cut. */
const FIND_KEYS = `
SELECT job_id, key, octet_length(request::text) AS bytes FROM steps
WHERE status = 'collected' AND target = $1 AND coalesce(shape, '') = ANY ($2) AND not_before <= now()
ORDER BY created_at, job_id, key LIMIT $3 OFFSET $4`;

const LOAD = `
SELECT ${batchStepColumns}, coalesce(t.batch_allowed, true) AS batch_allowed
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (job_id, key, place)
JOIN steps s ON s.job_id = w.job_id AND s.key = w.key JOIN jobs j ON j.id = w.job_id
LEFT JOIN tenants t ON t.id = j.tenant_id
WHERE s.status = 'collected' AND j.finished_at IS NULL ORDER BY w.place`;

/**
 * Collected steps of a target and of these shapes, the oldest first without the first `after` of them, at most `limit` and about
 * 8 MB of requests. Their fence is the one they have now; binding raises it. One that this version cannot read comes along, marked as
 * `unreadable`, so that it does not keep the others from being found.
 */
export async function findCandidates(
  database: Queryable,
  target: string,
  shapes: readonly string[],
  limit: number,
  after = 0,
): Promise<Candidate[]> {
  const found = await database.query<SizedKey>(FIND_KEYS, [target, shapes, limit, after]);
  const rows = await database.query<ClaimRow & { batch_allowed: boolean }>(
    LOAD,
    fittingKeys(found, BYTES_AT_A_TIME),
  );
  return rows.map((row) => ({ ...toStepToSend(row), batchAllowed: row.batch_allowed }));
}
