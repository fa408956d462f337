import { orLate } from '@millrace/contracts';
import { BlobStoreUnavailable } from './blob-store.ts';

/**
 * What `work` resolves with, or BlobStoreUnavailable after `limitMs`, or when it throws; it goes on unheard then. A timer of its own:
 * an abort signal that a Request hands on may be collected as garbage before it fires, and whoever relied on it would wait for ever.
 */
export function withinTime<Value>(work: Promise<Value>, limitMs: number, what: string): Promise<Value> {
  return orLate(work, limitMs, () => {
    throw new BlobStoreUnavailable(`${what} for ${limitMs} ms`);
  });
}
