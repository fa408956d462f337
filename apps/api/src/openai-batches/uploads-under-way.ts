import { ProblemError } from '@millrace/contracts';

/** With an S3 store each holds up to 8 MiB in memory, for as long as its client takes to send. */
const MOST = 32;
/** So that no tenant has all places. */
const MOST_OF_TENANT = 8;
const AGAIN_AFTER_MS = 1_000;

/** An upload that has a place. */
export interface UploadUnderWay {
  readonly tenantId: string;
  /** What has arrived of it, or was announced if that is more; 0 once the ledger counts it. */
  bytes: number;
}

/** The uploads that this process is receiving. */
export interface UploadsUnderWay {
  /** Takes a place. Throws `rate_limited` when the tenant has as many as it may have, or the process has. */
  begin(tenantId: string, announcedBytes: number): UploadUnderWay;
  /** Gives the place back. */
  end(upload: UploadUnderWay): void;
  /** What the uploads of a tenant have together. */
  bytesOf(tenantId: string): number;
}

/** Bounds the memory of uploads, and tells what those of a tenant will add to its files. */
export function createUploadsUnderWay(): UploadsUnderWay {
  const uploads = new Set<UploadUnderWay>();
  const ofTenant = (tenantId: string): UploadUnderWay[] =>
    [...uploads].filter((upload) => upload.tenantId === tenantId);

  return {
    begin(tenantId, announcedBytes) {
      if (ofTenant(tenantId).length >= MOST_OF_TENANT) {
        throw refusal(`The tenant has ${MOST_OF_TENANT} uploads under way, as many as it may have.`);
      }
      if (uploads.size >= MOST) throw refusal('Too many uploads are under way.');
      const upload = { tenantId, bytes: announcedBytes };
      uploads.add(upload);
      return upload;
    },
    end(upload) {
      uploads.delete(upload);
    },
    bytesOf(tenantId) {
      return ofTenant(tenantId).reduce((sum, { bytes }) => sum + bytes, 0);
    },
  };
}

function refusal(detail: string): ProblemError {
  return new ProblemError('rate_limited', detail, { retryAfterMs: AGAIN_AFTER_MS });
}
