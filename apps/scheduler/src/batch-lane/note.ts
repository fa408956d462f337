import { noteBatch } from '@millrace/ledger';
import type { BatchNews, BatchRecord } from '@millrace/ledger';
import { ClaimLost } from './claim-lost.ts';
import type { LaneDependencies } from './lane-dependencies.ts';

/** {@link noteBatch}, or ClaimLost. */
export async function note(
  { database }: Pick<LaneDependencies, 'database'>,
  batch: Pick<BatchRecord, 'id' | 'fence'>,
  news: BatchNews,
): Promise<void> {
  if (!(await noteBatch(database, batch, news))) throw new ClaimLost(batch.id);
}
