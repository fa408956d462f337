import type { Queryable } from '../database.ts';

/** Their durations are looked at for 30 days. */
const LEAST = "interval '30 days'";

const BATCHES = `
DELETE FROM provider_batches WHERE id IN (
  SELECT id FROM provider_batches WHERE finished_at < now() - greatest($1 * interval '1 millisecond', ${LEAST}) LIMIT $2)
RETURNING id`;

/** A shape that was proven long ago is tried again when it comes back, a refused one soon: models and accounts change. */
const SHAPES = `
DELETE FROM batch_shapes
WHERE changed_at < now() - ${LEAST} OR status = 'refused' AND changed_at < now() - interval '1 day'`;

/** Deletes batches that ended longer ago than `retentionMs` and 30 days, at most `limit`, and what is known of old shapes. */
export async function pruneBatches(database: Queryable, retentionMs: number, limit: number): Promise<number> {
  await database.query(SHAPES);
  return (await database.query(BATCHES, [retentionMs, limit])).length;
}
