import type { Queryable } from '../database.ts';

const WANTED = `
SELECT EXISTS (
  SELECT FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
  WHERE a.batch_id = $1 AND a.status = 'sent' AND s.status = 'sent' AND s.fence = a.fence) AS wanted`;

/** Whether a step still waits for an answer of this batch. */
export async function isBatchWanted(database: Queryable, batchId: string): Promise<boolean> {
  const [row] = await database.query<{ wanted: boolean }>(WANTED, [batchId]);
  return row?.wanted ?? false;
}

const DROP = `
WITH unwanted AS (
  SELECT a.job_id, a.step_key, a.number, a.escaped, a.reserved_micro_usd FROM attempts a
  JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
  WHERE a.batch_id = $1 AND a.status = 'sent' AND NOT (s.status = 'sent' AND s.fence = a.fence)
)
SELECT a.batch_line AS line FROM unwanted u JOIN attempts a USING (job_id, step_key, number) LIMIT $2`;

/** Lines that no step waits for any more, at most `limit`: before anything is uploaded they are simply left out. */
export async function findUnwantedLines(
  database: Queryable,
  batchId: string,
  limit: number,
): Promise<number[]> {
  return (await database.query<{ line: number }>(DROP, [batchId, limit])).map((row) => row.line);
}
