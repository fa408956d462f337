export { BlobStoreUnavailable } from './blob-store.ts';
export type { BlobContent, BlobStore } from './blob-store.ts';
export { createBlobStore } from './create-blob-store.ts';
export type { BlobStoreOptions } from './create-blob-store.ts';
