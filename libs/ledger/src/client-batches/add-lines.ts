import type { Queryable } from '../database.ts';

const ADD = `
WITH incoming AS (
  SELECT * FROM json_to_recordset($2) AS l (line int, "customId" text, "jobId" text)
), added AS (
  INSERT INTO client_batch_lines (batch_id, line, custom_id, job_id)
  SELECT $1, line, "customId", "jobId" FROM incoming ON CONFLICT (batch_id, line) DO NOTHING
  RETURNING line, job_id
)
SELECT line, job_id AS "jobId" FROM added
UNION ALL
SELECT l.line, l.job_id FROM client_batch_lines l JOIN incoming USING (line) WHERE l.batch_id = $1`;

/**
 * Notes which job each line will be, before the jobs are there. A line that is known keeps the job that it was given
 * first. Returns the job of every line.
 */
export async function addClientLines(
  database: Queryable,
  batchId: string,
  lines: readonly { line: number; customId: string; jobId: string }[],
): Promise<Map<number, string>> {
  const rows = await database.query<{ line: number; jobId: string }>(ADD, [batchId, JSON.stringify(lines)]);
  return new Map(rows.map((row) => [row.line, row.jobId]));
}
