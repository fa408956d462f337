import type { Queryable } from '../database.ts';

const FIND = `SELECT provider_batch_id AS id FROM provider_batches WHERE provider = $1 AND provider_batch_id = ANY ($2)`;

/** Those of a vendor's batch ids that batches of ours have already. */
export async function findKnownBatches(
  database: Queryable,
  provider: string,
  ids: readonly string[],
): Promise<string[]> {
  return (await database.query<{ id: string }>(FIND, [provider, ids])).map((row) => row.id);
}
