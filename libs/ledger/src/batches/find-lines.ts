import type { Queryable } from '../database.ts';
import type { ClaimedStep, ClaimRow } from '../steps/claim-steps.ts';
import { batchStepColumns, toBatchStep } from './batch-step.ts';

/** A line that is to be uploaded. */
export interface BatchLine {
  line: number;
  step: ClaimedStep;
}

const BYTES_AT_A_TIME = 4_000_000;

/** The sizes are read before the contents. Who was erased meanwhile has nothing to upload. */
const FIND = `
WITH waiting AS (
  SELECT a.job_id, a.step_key, a.batch_line, octet_length(s.request::text) AS bytes
  FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
  WHERE a.batch_id = $1 AND a.batch_line > $2 AND a.status = 'sent' AND s.request IS NOT NULL
  ORDER BY a.batch_line LIMIT $3
), fitting AS (
  SELECT job_id, step_key, batch_line FROM (
    SELECT w.*, sum(bytes) OVER (ORDER BY batch_line) - bytes AS before FROM waiting w
  ) AS w WHERE before < ${BYTES_AT_A_TIME}
)
SELECT f.batch_line AS line, ${batchStepColumns}
FROM fitting f JOIN steps s ON s.job_id = f.job_id AND s.key = f.step_key JOIN jobs j ON j.id = s.job_id
LEFT JOIN tenants t ON t.id = j.tenant_id ORDER BY f.batch_line`;

/** The next lines of a batch after the line `after`, at most `limit` and about 4 MB of requests. */
export async function findLines(
  database: Queryable,
  batchId: string,
  after: number,
  limit: number,
): Promise<BatchLine[]> {
  const rows = await database.query<ClaimRow & { line: number }>(FIND, [batchId, after, limit]);
  return rows.map((row) => ({ line: row.line, step: toBatchStep(row) }));
}
