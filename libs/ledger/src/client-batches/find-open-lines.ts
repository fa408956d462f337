import type { Queryable } from '../database.ts';

const FIND = `
SELECT l.line, l.job_id AS "jobId", j.id IS NOT NULL AS "hasJob"
FROM client_batch_lines l LEFT JOIN jobs j ON j.id = l.job_id
WHERE l.batch_id = $1 AND l.status IS NULL ORDER BY l.line LIMIT $2`;

/** Lines of a batch that have not ended. One without a job was noted by somebody who did not get to committing it. */
export async function findOpenClientLines(
  database: Queryable,
  batchId: string,
  limit: number,
): Promise<{ line: number; jobId: string; hasJob: boolean }[]> {
  return database.query(FIND, [batchId, limit]);
}
