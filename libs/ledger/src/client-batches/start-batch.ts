import type { Queryable } from '../database.ts';

const START = `
UPDATE client_batches SET status = 'in_progress', in_progress_at = now(), total = $2, model = $3
WHERE id = $1 AND status = 'validating' RETURNING id`;

/** Lets a valid batch begin; false when it was cancelled meanwhile. */
export async function startClientBatch(
  database: Queryable,
  batch: { id: string; total: number; model: string | null },
): Promise<boolean> {
  return (await database.query(START, [batch.id, batch.total, batch.model])).length > 0;
}
