import { resolve } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { createFolderStore } from './folder-store.ts';
import { createS3Store } from './s3-store.ts';

/** Where blobs are kept; the settings `MILLRACE_BLOB_STORE` and `MILLRACE_BLOB_S3_*`. */
export interface BlobStoreOptions {
  /** `file:<path>`, from the working directory if it does not begin with a slash, or `s3://bucket/prefix`. */
  address: string;
  s3: {
    /** Null: Amazon's own of the region. */
    endpoint: string | null;
    region: string;
    accessKeyId: string | null;
    secretAccessKey: string | null;
  };
}

/** The store that a deployment is configured for. Nothing is looked at until it is used. Throws on an unusable address. */
export function createBlobStore({ address, s3 }: BlobStoreOptions): BlobStore {
  const folder = /^file:(?:\/\/(?=\/))?(.+)$/.exec(address)?.[1];
  if (folder !== undefined) return createFolderStore(resolve(folder));
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(address) ?? [];
  if (bucket === undefined || s3.accessKeyId === null || s3.secretAccessKey === null) {
    throw new Error(`the blob store ${address} cannot be used`);
  }
  const prefix = path.replace(/\/+$/, '');
  return createS3Store({
    endpoint: s3.endpoint ?? `https://s3.${s3.region}.amazonaws.com`,
    region: s3.region,
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    accessKeyId: s3.accessKeyId,
    secretAccessKey: s3.secretAccessKey,
  });
}
