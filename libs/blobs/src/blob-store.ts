import type { Readable } from 'node:stream';

/** Large contents by key, outside the ledger: files that clients upload, and what batches give back. */
export interface BlobStore {
  /**
   * Writes a content whole, replacing what was there. Nobody sees it before it is complete, and nothing stays of a write
   * that failed. Holds one piece of it at a time. Throws BlobStoreUnavailable, or what `content` throws.
   */
  write(key: string, content: AsyncIterable<Uint8Array>): Promise<{ bytes: number }>;
  /** Opens a content at a byte; null when there is none. Throws BlobStoreUnavailable; the stream may fail with it later. */
  read(key: string, fromByte?: number): Promise<BlobContent | null>;
  /** Removes a content and whatever an interrupted write left of it. Nothing happens when there is none. */
  remove(key: string): Promise<void>;
}

/** A content that is being read. Whoever does not read it to the end destroys the stream. */
export interface BlobContent {
  /** Of the whole, wherever the stream begins. */
  bytes: number;
  stream: Readable;
}

/** The store did not do what it was asked; the same may be tried again. */
export class BlobStoreUnavailable extends Error {
  constructor(what: string, cause?: unknown) {
    super(`the blob store failed: ${what}`, { cause });
    this.name = 'BlobStoreUnavailable';
  }
}

/** Keys become paths and addresses. Throws on anything that could leave its place there. */
export function checkBlobKey(key: string): void {
  if (!/^[a-z0-9_-]{1,100}$/.test(key)) throw new Error(`"${key}" is no blob key`);
}
