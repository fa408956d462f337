import type { Queryable } from '../database.ts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import type { ClaimRow } from '../steps/read-claim.ts';
import { batchStepColumns, fittingKeys, toPlaceholder, toStepToSend } from './batch-step.ts';
import type { SizedKey } from './batch-step.ts';

/** A line that is to be uploaded. */
export interface BatchLine {
  line: number;
  step: ClaimedStep;
}

const BYTES_AT_A_TIME = 4_000_000;

/**
 * The sizes are read before the contents. Who was erased meanwhile keeps its line, without its words: a vendor that keeps nothing of ours
 * knows a batch by the number of its lines.
 */
const FIND_KEYS = `
SELECT a.job_id, a.step_key AS key, a.batch_line AS line, coalesce(octet_length(s.request::text), 0) AS bytes
FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
WHERE a.batch_id = $1 AND a.batch_line > $2 AND a.status = 'sent'
ORDER BY a.batch_line LIMIT $3`;

const LOAD = `
SELECT w.line, s.shape, ${batchStepColumns}
FROM unnest($1::text[], $2::text[], $3::int[]) AS w (job_id, key, line)
JOIN steps s ON s.job_id = w.job_id AND s.key = w.key JOIN jobs j ON j.id = w.job_id
LEFT JOIN tenants t ON t.id = j.tenant_id ORDER BY w.line`;

/**
 * The next lines of a batch after the line `after`, at most `limit` and about 4 MB of requests. Those that this version must not send
 * are marked as `unreadable`.
 */
export async function findLines(
  database: Queryable,
  batchId: string,
  after: number,
  limit: number,
): Promise<BatchLine[]> {
  const found = await database.query<SizedKey & { line: number }>(FIND_KEYS, [batchId, after, limit]);
  const [jobIds, keys] = fittingKeys(found, BYTES_AT_A_TIME);
  const lines = found.slice(0, keys.length).map((each) => each.line);
  const rows = await database.query<ClaimRow & { line: number; shape: string | null }>(LOAD, [
    jobIds,
    keys,
    lines,
  ]);
  return rows.map((row) => ({ line: row.line, step: toStepToSend(row, toPlaceholder(row.shape)) }));
}
