import { BlobStoreUnavailable } from './blob-store.ts';

/**
 * What `work` resolves with, or BlobStoreUnavailable after `limitMs`, or when it throws; it goes on unheard then. A timer of its own:
 * an abort signal that a Request hands on may be collected as garbage before it fires, and whoever relied on it would wait for ever.
 */
export async function withinTime<Value>(work: Promise<Value>, limitMs: number, what: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new BlobStoreUnavailable(`${what} for ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
