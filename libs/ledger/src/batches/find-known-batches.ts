import type { Queryable } from '../database.ts';

/** A vendor's batch that one of our batches has taken as its own. */
export interface KnownBatch {
  providerBatchId: string;
  /** False while it was only recognised by its size and time: it may yet turn out to be another one of ours. */
  certain: boolean;
}

const FIND = `
SELECT provider_batch_id AS "providerBatchId", certain OR status = 'ended' AS certain
FROM provider_batches WHERE provider = $1 AND provider_batch_id = ANY ($2)`;

/** Those of a vendor's batch ids that batches of ours have already. */
export async function findKnownBatches(
  database: Queryable,
  provider: string,
  ids: readonly string[],
): Promise<KnownBatch[]> {
  return database.query(FIND, [provider, ids]);
}
