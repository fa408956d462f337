import type { BlobStore } from '@millrace/blobs';
import { createId } from '@millrace/contracts';
import { beginFile, countKeptBytes, giveUpFile, storeFile } from '@millrace/ledger';
import type { ClientFile, Database } from '@millrace/ledger';
import type { Request } from 'express';
import { OpenAiError } from './openai-error.ts';
import { receiveUpload } from './receive-upload.ts';
import type { Upload } from './receive-upload.ts';

/** What uploading a file needs. */
export interface UploadDependencies {
  database: Database;
  blobs: BlobStore;
  maxFileBytes: number;
  /** What all files of one tenant may have. */
  maxTenantBytes: number;
}

/** An upload that takes longer is given up; the HTTP server cuts it long before. */
const LEASE_MS = 3_600_000;
/** What a form has beside its file at most. */
const FORM_BYTES = 65_536;
/** As OpenAI's: files of batches are kept for 30 days unless the upload says otherwise. */
export const BATCH_FILE_LIFE_SECONDS = 30 * 86_400;

/**
 * `POST /v1/files`: notes the file in the ledger, streams it into the blob store, and makes it visible. What is cut off on
 * the way is found by the note and removed by the scheduler.
 */
export async function uploadFile(
  { database, blobs, maxFileBytes, maxTenantBytes }: UploadDependencies,
  request: Request,
  tenantId: string,
): Promise<ClientFile> {
  // Decided when the file is whole; here only, so that nobody sends 200 MiB in vain.
  const announced = Math.max(0, Number(request.headers['content-length'] ?? 0) - FORM_BYTES);
  if ((await countKeptBytes(database, tenantId)) + announced >= maxTenantBytes)
    throw overQuota(maxTenantBytes);
  const id = createId('file');
  await beginFile(database, { id, tenantId, leaseMs: LEASE_MS });
  let stored: ClientFile | null = null;
  try {
    const upload = await receiveUpload(request, maxFileBytes, (content) => blobs.write(id, content));
    const { purpose, lifeSeconds } = checkUpload(upload);
    const result = await storeFile(database, {
      id,
      tenantId,
      purpose,
      lifeSeconds,
      fileName: upload.fileName,
      bytes: upload.bytes,
      mostBytes: maxTenantBytes,
    });
    if (result === 'too_late') throw new OpenAiError(400, 'The upload took too long.', { param: 'file' });
    if (result === 'over_quota') throw overQuota(maxTenantBytes);
    stored = result;
    return stored;
  } finally {
    if (!stored) await giveUpFile(database, id).catch(() => undefined);
  }
}

/** OpenAI answers 400 in these words (seen in bespokelabsai/curator, issue 189); the code is ours. */
function overQuota(maxTenantBytes: number): OpenAiError {
  return new OpenAiError(
    400,
    `You have exceeded your file storage quota. Tenants are limited to ${maxTenantBytes} bytes of files. ` +
      'Please delete old files or attempt with a smaller file size.',
    { param: 'file', code: 'file_storage_quota_exceeded' },
  );
}

function checkUpload({ fields, fileName, bytes }: Upload): { purpose: string; lifeSeconds: number } {
  const purpose = fields.get('purpose');
  if (purpose === undefined)
    throw new OpenAiError(400, "'purpose' is a required property", { param: 'purpose' });
  if (purpose !== 'batch') {
    throw new OpenAiError(400, `'${purpose}' is not one of ['batch'] - 'purpose'`, {
      param: 'purpose',
      code: 'invalid_value',
    });
  }
  if (bytes === 0) throw new OpenAiError(400, 'File is empty.', { param: 'file' });
  if (!fileName.endsWith('.jsonl')) {
    throw new OpenAiError(400, 'Invalid file format for Batch API. Must be .jsonl', { param: 'file' });
  }
  return { purpose, lifeSeconds: readLife(fields) };
}

function readLife(fields: ReadonlyMap<string, string>): number {
  const anchor = fields.get('expires_after[anchor]');
  const seconds = fields.get('expires_after[seconds]');
  if (anchor === undefined && seconds === undefined) return BATCH_FILE_LIFE_SECONDS;
  if (anchor !== 'created_at') {
    throw new OpenAiError(400, "The anchor must be 'created_at'.", {
      param: 'expires_after.anchor',
      code: 'invalid_value',
    });
  }
  const life = Number(seconds);
  if (!Number.isInteger(life) || life < 3_600 || life > 2_592_000) {
    throw new OpenAiError(400, 'The seconds must be between 3600 and 2592000.', {
      param: 'expires_after.seconds',
      code: 'invalid_value',
    });
  }
  return life;
}
