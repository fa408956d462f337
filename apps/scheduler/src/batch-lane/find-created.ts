import { findKnownBatches } from '@millrace/ledger';
import type { BatchRecord } from '@millrace/ledger';
import type { BatchPort, ProviderBatch } from '@millrace/providers';
import type { LaneDependencies } from './lane-dependencies.ts';

/**
 * What an interrupted try has created at the vendor; null when there is nothing. `undecided`: it may be what another batch of ours
 * has taken by its size and time. Nothing may be created until the results of that one tell whose it is: two batches of a size whose
 * ids were lost together could each hold the other's.
 */
export async function findCreated(
  { database }: Pick<LaneDependencies, 'database'>,
  port: BatchPort,
  batch: BatchRecord,
): Promise<{ batch: ProviderBatch; certain: boolean } | 'undecided' | null> {
  const { id: batchId, lineCount, createdAt: since } = batch;
  const found = await port.find({ batchId, lineCount, since });
  const ids = found.map((each) => each.batch.providerBatchId);
  const known = new Map(
    (await findKnownBatches(database, batch.provider, ids)).map((each) => [each.providerBatchId, each]),
  );
  const certain = found.find((each) => each.certain);
  // Held by another one, it comes free when that one has read its results.
  if (certain) return known.has(certain.batch.providerBatchId) ? 'undecided' : certain;
  const unknown = found.filter((each) => !known.has(each.batch.providerBatchId));
  // The first one after our intent; its results will tell whether it is ours.
  const [first] = unknown.toSorted((a, b) => a.batch.createdAt - b.batch.createdAt);
  if (first) return first;
  return [...known.values()].some((each) => !each.certain) ? 'undecided' : null;
}
