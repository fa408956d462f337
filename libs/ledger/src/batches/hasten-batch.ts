import type { Queryable } from '../database.ts';

const HASTEN = `
UPDATE provider_batches SET wake_at = now()
WHERE provider = $1 AND provider_batch_id = $2 AND status = 'running' AND wake_at > now() RETURNING id`;

/**
 * Lets a batch that runs at a provider be looked at now instead of at its next turn. Our id of it; null when there is nothing to
 * hasten: it is not ours, has been seen to end, or is due. Whoever is just looking loses the claim, and it is looked at again.
 */
export async function hastenBatch(
  database: Queryable,
  provider: string,
  providerBatchId: string,
): Promise<string | null> {
  const [row] = await database.query<{ id: string }>(HASTEN, [provider, providerBatchId]);
  return row?.id ?? null;
}
