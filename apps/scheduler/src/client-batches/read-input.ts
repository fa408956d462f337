import type { BlobContent, BlobStore } from '@millrace/blobs';
import type { ClientBatch } from '@millrace/ledger';

/** What reading a batch's input needs. */
export interface ReadInputOptions {
  blobs: BlobStore;
  /** Since when the inputs of batches have been missing, by batch; in ms as `now` counts. */
  missingSince: Map<string, number>;
  now: () => number;
}

/** The input of a batch is not in the blob store, though the ledger says that it should be. */
export class InputMissing extends Error {
  /** False while it may only be a folder that is not mounted, or a store that is being brought back. */
  readonly forGood: boolean;

  constructor(batchId: string, forGood: boolean) {
    super(`the input of ${batchId} is not in the blob store`);
    this.name = 'InputMissing';
    this.forGood = forGood;
  }
}

/** An operator has this long to bring a store back that has lost its contents. */
export const MISSING_FOR_GOOD_MS = 300_000;

/** Opens the input of a batch at a byte. Throws InputMissing, BlobStoreUnavailable. */
export async function readInput(
  batch: Pick<ClientBatch, 'id' | 'inputFileId'>,
  fromByte: number,
  { blobs, missingSince, now }: ReadInputOptions,
): Promise<BlobContent> {
  const content = await blobs.read(batch.inputFileId, fromByte);
  if (content) {
    missingSince.delete(batch.id);
    return content;
  }
  const since = missingSince.get(batch.id) ?? now();
  missingSince.set(batch.id, since);
  const forGood = now() - since >= MISSING_FOR_GOOD_MS;
  if (forGood) missingSince.delete(batch.id);
  throw new InputMissing(batch.id, forGood);
}
