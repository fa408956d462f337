import type { Queryable } from '../database.ts';

const COUNT = `SELECT count(*)::int AS open FROM attempts WHERE batch_id = $1 AND status = 'sent'`;

/** How many lines of a batch have no outcome. */
export async function countOpenLines(database: Queryable, batchId: string): Promise<number> {
  const [row] = await database.query<{ open: number }>(COUNT, [batchId]);
  return row?.open ?? 0;
}
