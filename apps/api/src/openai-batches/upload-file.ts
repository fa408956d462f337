import type { BlobStore } from '@millrace/blobs';
import { createId } from '@millrace/contracts';
import { beginFile, countKeptBytes, giveUpFile, storeFile } from '@millrace/ledger';
import type { ClientFile, Database } from '@millrace/ledger';
import type { Request } from 'express';
import { OpenAiError } from './openai-error.ts';
import { receiveUpload, unknownParameter } from './receive-upload.ts';
import type { Upload as Form } from './receive-upload.ts';
import { createUploadsUnderWay } from './uploads-under-way.ts';
import type { UploadUnderWay } from './uploads-under-way.ts';

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
/** What a form may have beside its file: anything else would be without an effect. */
const FIELDS = new Set(['purpose', 'expires_after[anchor]', 'expires_after[seconds]']);
/** As OpenAI's: files of batches are kept for 30 days unless the upload says otherwise. */
export const BATCH_FILE_LIFE_SECONDS = 30 * 86_400;

/** Receives the body of `POST /v1/files`. */
export type UploadFile = (request: Request, tenantId: string) => Promise<ClientFile>;

/**
 * `POST /v1/files`: takes a place among the uploads of this process, notes the file in the ledger, streams it into the blob
 * store, and makes it visible. What is cut off on the way is found by the note and removed by the scheduler.
 */
export function createUploadFile(dependencies: UploadDependencies): UploadFile {
  const uploads = createUploadsUnderWay();
  return async (request, tenantId) => {
    const upload = uploads.begin(tenantId, announcedBytes(request));
    try {
      return await takeFile(dependencies, {
        request,
        upload,
        bytesUnderWay: () => uploads.bytesOf(tenantId),
      });
    } finally {
      uploads.end(upload);
    }
  };
}

interface Receiving {
  request: Request;
  upload: UploadUnderWay;
  /** Of all uploads of the tenant, this among them. */
  bytesUnderWay: () => number;
}

async function takeFile(
  { database, blobs, maxFileBytes, maxTenantBytes }: UploadDependencies,
  { request, upload, bytesUnderWay }: Receiving,
): Promise<ClientFile> {
  const { tenantId } = upload;
  const kept = await countKeptBytes(database, tenantId);
  // Decided by the ledger when the file is whole; here and on the way, so that nothing is stored that has no room.
  const checkRoom = (): void => {
    if (kept + bytesUnderWay() <= maxTenantBytes) return;
    upload.bytes = 0;
    throw overQuota(maxTenantBytes);
  };
  checkRoom();
  const id = createId('file');
  await beginFile(database, { id, tenantId, leaseMs: LEASE_MS });
  let stored: ClientFile | null = null;
  try {
    const form = await receiveUpload(request, maxFileBytes, (content) =>
      blobs.write(id, counted(content, upload, checkRoom)),
    );
    const { purpose, lifeSeconds } = checkForm(form);
    // The ledger counts it from here on; with both, it would take twice its room from the others.
    upload.bytes = 0;
    const result = await storeFile(database, {
      id,
      tenantId,
      purpose,
      lifeSeconds,
      fileName: form.fileName,
      bytes: form.bytes,
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

/** What the file has at least: one byte where its client does not say how long the form is. */
function announcedBytes(request: Request): number {
  return Math.max(1, Number(request.headers['content-length'] ?? 0) - FORM_BYTES);
}

/** Passes a content on while there is room for what has arrived of it. */
async function* counted(
  content: AsyncIterable<Uint8Array>,
  upload: UploadUnderWay,
  checkRoom: () => void,
): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    upload.bytes = Math.max(upload.bytes, bytes);
    checkRoom();
    yield piece;
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

function checkForm({ fields, fileName, bytes }: Form): { purpose: string; lifeSeconds: number } {
  const unknown = [...fields.keys()].find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw unknownParameter(unknown);
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
