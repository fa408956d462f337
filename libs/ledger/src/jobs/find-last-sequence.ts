import type { Queryable } from '../database.ts';

const FIND = `SELECT last_sequence FROM jobs WHERE id = $1`;

/** The number of a job's last lifecycle event, 0 for an unknown job. */
export async function findLastSequence(database: Queryable, jobId: string): Promise<number> {
  const [row] = await database.query<{ last_sequence: number }>(FIND, [jobId]);
  return row?.last_sequence ?? 0;
}
