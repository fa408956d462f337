import type { Queryable } from '../database.ts';

const COUNT = `SELECT count(*)::int AS open FROM attempts WHERE job_id = $1 AND status = 'sent'`;

/** How many calls of a job have been sent and not reported back yet. */
export async function countOpenCalls(database: Queryable, jobId: string): Promise<number> {
  const [row] = await database.query<{ open: number }>(COUNT, [jobId]);
  return row?.open ?? 0;
}
