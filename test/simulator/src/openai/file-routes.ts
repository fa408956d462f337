import { acceptExchange, type Exchange } from '../http/exchange.ts';
import { keyProblem } from '../http/key-check.ts';
import { readMultipart, type MultipartForm } from '../http/multipart.ts';
import { readBody } from '../http/read-body.ts';
import type { Route } from '../http/routes.ts';
import { sendError, sendJson } from '../http/send-answer.ts';
import { sendFile } from '../http/send-file.ts';
import { applyFault, serveJson, type JsonHandler } from '../http/serve-json.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import type { JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import { createFileStore, type FileStore, type StoredFile } from './file-store.ts';
import { pageOf } from './page.ts';
import { invalid } from './request-checks.ts';

const PURPOSES: ReadonlySet<string> = new Set([
  'assistants',
  'batch',
  'fine-tune',
  'vision',
  'user_data',
  'evals',
]);
const MAX_BATCH_BYTES = 200 * 1024 * 1024;
const MAX_FILE_BYTES = 512 * 1024 * 1024;
const BATCH_FILE_LIFE_MS = 30 * 24 * 3_600_000;

/** `/v1/files` and what is below it, with the store that batches share. */
export function fileRoutes(simulator: Simulator): { routes: readonly Route[]; files: FileStore } {
  const files = createFileStore(simulator);
  const route = (method: string, path: string, handler: JsonHandler): Route => ({
    dialect: 'openai',
    method,
    path: `/files${path}`,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });
  const onFile =
    (act: (file: StoredFile) => object): JsonHandler =>
    (_simulator, exchange) => {
      const file = files.find(exchange.account, exchange.parameters[0] ?? '');
      return file === null ? notFound(exchange) : act(file);
    };
  const routes: Route[] = [
    {
      dialect: 'openai',
      method: 'POST',
      path: '/files',
      serve: (exchange) => uploadFile(simulator, files, exchange),
    },
    route('GET', '', listFiles(files)),
    route('GET', '/{id}', onFile(fileObject)),
    route(
      'DELETE',
      '/{id}',
      onFile((file) => {
        files.remove(file);
        simulator.journal.note({ event: 'file.deleted', account: file.account, fileId: file.id });
        return { id: file.id, object: 'file', deleted: true };
      }),
    ),
    {
      dialect: 'openai',
      method: 'GET',
      path: '/files/{id}/content',
      serve: (exchange) => sendContent(simulator, files, exchange),
    },
  ];
  return { routes, files };
}

async function uploadFile(simulator: Simulator, files: FileStore, exchange: Exchange): Promise<void> {
  const draft = files.draft();
  const form = await readMultipart(exchange.request, draft);
  const received = { text: '', bytes: form?.bytes ?? 0, sha256: form?.sha256 ?? '' };
  acceptExchange(simulator, exchange, received, null);
  const problem = keyProblem(simulator, exchange) ?? formProblem(form);
  if (problem !== null || form === null) {
    draft.discard();
    if (problem !== null) sendError(simulator, exchange, problem);
    return;
  }
  if ((await applyFault(simulator, exchange, received, null)) === 'answered') {
    draft.discard();
    return;
  }
  const purpose = form.fields['purpose'] ?? '';
  const lifeMs = wantedLifeMs(form) ?? (purpose === 'batch' ? BATCH_FILE_LIFE_MS : null);
  const file = draft.publish({
    account: exchange.account,
    fileName: form.fileName ?? 'upload',
    purpose,
    expiresAtMs: lifeMs === null ? null : simulator.clock.nowMs() + lifeMs,
    missingUntilMs: null,
  });
  simulator.journal.note({
    event: 'file.uploaded',
    account: file.account,
    fileId: file.id,
    purpose,
    fileName: file.fileName,
    bytes: file.bytes,
    contentSha256: file.sha256,
  });
  sendJson(simulator, exchange, 200, fileObject(file));
}

function wantedLifeMs(form: MultipartForm): number | null {
  const seconds = Number(form.fields['expires_after[seconds]'] ?? 'NaN');
  return Number.isFinite(seconds) ? seconds * 1_000 : null;
}

function formProblem(form: MultipartForm | null): VendorError | null {
  if (form === null) return invalid('Could not parse multipart form', null);
  if (form.fileName === null) return invalid("'file' is a required property", 'file');
  const purpose = form.fields['purpose'];
  if (purpose === undefined) return invalid("'purpose' is a required property", 'purpose');
  if (!PURPOSES.has(purpose))
    return invalid(`'${purpose}' is not one of ['${[...PURPOSES].join("', '")}'] - 'purpose'`, 'purpose');
  const lifeMs = wantedLifeMs(form);
  if (lifeMs !== null && (lifeMs < 3_600_000 || lifeMs > BATCH_FILE_LIFE_MS)) {
    const message = "Invalid 'expires_after.seconds': expected a value between 3600 and 2592000.";
    return invalid(message, 'expires_after.seconds', 'invalid_value');
  }
  if (form.fileBytes === 0) return invalid('File is empty.', 'file');
  if (purpose === 'batch' && !form.fileName.endsWith('.jsonl')) {
    return invalid('Invalid file format for Batch API. Must be .jsonl', 'file');
  }
  const maxBytes = purpose === 'batch' ? MAX_BATCH_BYTES : MAX_FILE_BYTES;
  return form.fileBytes > maxBytes
    ? vendorError(413, 'invalid_request_error', `File is too large: at most ${maxBytes} bytes.`)
    : null;
}

function listFiles(files: FileStore): JsonHandler {
  return (_simulator, exchange) => {
    const purpose = exchange.query.get('purpose');
    const own = files.list(exchange.account).filter((file) => purpose === null || file.purpose === purpose);
    const ordered = exchange.query.get('order') === 'asc' ? own : [...own].reverse();
    return pageOf(ordered.map(fileObject), exchange.query, { usual: 10_000, most: 10_000 });
  };
}

async function sendContent(simulator: Simulator, files: FileStore, exchange: Exchange): Promise<void> {
  const received = await readBody(exchange.request, 1_000);
  if (received === null || received === 'too_large') return;
  acceptExchange(simulator, exchange, received, null);
  const file = files.find(exchange.account, exchange.parameters[0] ?? '');
  const problem = keyProblem(simulator, exchange) ?? (file === null ? notFound(exchange) : null);
  if (problem !== null || file === null) {
    if (problem !== null) sendError(simulator, exchange, problem);
    return;
  }
  const fault = await applyFault(simulator, exchange, received, null);
  if (fault === 'answered') return;
  const headers = {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${file.fileName}"`,
  };
  const whole = await sendFile(simulator, exchange, { path: file.path, bytes: file.bytes, headers }, fault);
  simulator.journal.note({
    event: 'file.read',
    account: file.account,
    fileId: file.id,
    bytes: exchange.bytesSent,
    whole,
  });
}

function notFound(exchange: Exchange): VendorError {
  return vendorError(404, 'invalid_request_error', `No such File object: ${exchange.parameters[0] ?? ''}`, {
    param: 'id',
  });
}

function fileObject(file: StoredFile): JsonObject & { readonly id: string } {
  const seconds = (atMs: number): number => Math.floor(atMs / 1_000);
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: seconds(file.createdAtMs),
    expires_at: file.expiresAtMs === null ? null : seconds(file.expiresAtMs),
    filename: file.fileName,
    purpose: file.purpose,
    status: 'processed',
    status_details: null,
  };
}
