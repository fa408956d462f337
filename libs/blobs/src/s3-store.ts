import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { AwsClient } from 'aws4fetch';
import { BlobStoreUnavailable, checkBlobKey } from './blob-store.ts';
import type { BlobStore } from './blob-store.ts';
import { inParts } from './in-parts.ts';
import { limitIdle } from './limit-idle.ts';
import { withinTime } from './within-time.ts';

/** Where an S3-compatible store is, and who asks. */
export interface S3Options {
  /** `https://s3.eu-central-1.amazonaws.com` or a store of one's own; the bucket becomes the first part of the path. */
  endpoint: string;
  region: string;
  bucket: string;
  /** In front of every key: `""` or `batches/`. */
  prefix: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** How long one request may take in all its tries, and how long a content that is read may let its reader wait. */
  requestMs?: number;
  idleMs?: number;
}

/** S3 wants 5 MiB at least in every part but the last; this is what one write holds in memory. */
const PART_BYTES = 8 * 1024 * 1024;
/** Of one request that sends a part or asks for something small. */
const REQUEST_MS = 60_000;
/** Until a content begins, and between two pieces of it. */
const IDLE_MS = 20_000;
/** Tries again after 429 and 5xx, with backoff. */
const RETRIES = 4;

/**
 * A bucket of an S3-compatible store, through the six requests that all of them know. Contents above one part go up as a
 * multipart upload; one that a crash interrupted stays invisible, and a lifecycle rule of the bucket removes its parts.
 */
export function createS3Store(options: S3Options): BlobStore {
  const { requestMs = REQUEST_MS, idleMs = IDLE_MS } = options;
  const client = new AwsClient({
    accessKeyId: options.accessKeyId,
    secretAccessKey: options.secretAccessKey,
    service: 's3',
    region: options.region,
    retries: RETRIES,
  });
  const base = `${options.endpoint.replace(/\/+$/, '')}/${options.bucket}/${options.prefix}`;
  const urlOf = (key: string, query = ''): string => {
    checkBlobKey(key);
    return `${base}${key}${query}`;
  };

  /** Resolves with an answer of the statuses `wanted`; throws BlobStoreUnavailable for any other. */
  async function ask(
    method: string,
    url: string,
    wanted: readonly number[],
    request: { body?: Uint8Array | string; headers?: Record<string, string>; limitMs?: number } = {},
  ): Promise<Response> {
    const { body, headers, limitMs = requestMs } = request;
    const asking = new AbortController();
    const asked = client.fetch(url, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'X-Amz-Content-Sha256': sha256(body) }) },
      ...(body === undefined ? {} : { body }),
      signal: asking.signal,
    });
    const answer = await withinTime(asked, limitMs, `${method} was not answered`).catch((error: unknown) => {
      asking.abort();
      // An answer that comes all the same keeps its connection until somebody lets go of it.
      asked.then((late) => late.body?.cancel()).catch(() => undefined);
      if (error instanceof BlobStoreUnavailable) throw error;
      throw new BlobStoreUnavailable(`${method} did not get through`, error);
    });
    if (wanted.includes(answer.status)) return answer;
    await answer.body?.cancel();
    throw new BlobStoreUnavailable(`${method} was answered ${answer.status}`);
  }

  const textOf = (answer: Response): Promise<string> => readText(answer, requestMs);

  async function writeInParts(key: string, parts: AsyncIterable<Uint8Array>): Promise<number> {
    const begun = await textOf(await ask('POST', urlOf(key, '?uploads='), [200]));
    const uploadId = elementOf(begun, 'UploadId');
    if (uploadId === null) throw new BlobStoreUnavailable('a multipart upload got no id');
    const upload = `uploadId=${encodeURIComponent(uploadId)}`;
    try {
      const tags: string[] = [];
      let bytes = 0;
      for await (const part of parts) {
        const number = tags.length + 1;
        const answer = await ask('PUT', urlOf(key, `?partNumber=${number}&${upload}`), [200], { body: part });
        tags.push(answer.headers.get('etag') ?? '');
        await answer.body?.cancel();
        bytes += part.length;
      }
      const answer = await ask('POST', urlOf(key, `?${upload}`), [200], { body: completion(tags) });
      // S3 begins this answer before it knows how it ends: an error comes with status 200.
      if (/<Error[>\s]/.test(await textOf(answer)))
        throw new BlobStoreUnavailable('an upload was not completed');
      return bytes;
    } catch (error) {
      await ask('DELETE', urlOf(key, `?${upload}`), [204, 404]).catch(() => undefined);
      throw error;
    }
  }

  return {
    async write(key, content) {
      const parts = inParts(content, PART_BYTES);
      const first = await parts.next();
      const only = first.done ? new Uint8Array() : first.value;
      if (only.length < PART_BYTES) {
        await (await ask('PUT', urlOf(key), [200], { body: only })).body?.cancel();
        return { bytes: only.length };
      }
      return { bytes: await writeInParts(key, withFirst(only, parts)) };
    },

    async read(key, fromByte = 0) {
      // 416: the content ends where the reading was to begin.
      const headers: Record<string, string> = fromByte > 0 ? { range: `bytes=${fromByte}-` } : {};
      // The whole may take as long as its reader likes; its beginning may not.
      const answer = await ask('GET', urlOf(key), [200, 206, 404, 416], { headers, limitMs: idleMs });
      if (answer.status === 404) return refuseUnlessNoKey(await textOf(answer));
      if (answer.status === 416 || !answer.body) {
        await answer.body?.cancel();
        return { bytes: fromByte, stream: Readable.from([]) };
      }
      const length = Number(answer.headers.get('content-length') ?? 0);
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      const stream = Readable.from(limitIdle(reader, idleMs), { objectMode: false });
      // A generator that was never begun does not come to its end either.
      stream.once('close', () => void reader.cancel().catch(() => undefined));
      return { bytes: answer.status === 206 ? fromByte + length : length, stream };
    },

    async remove(key) {
      const answer = await ask('DELETE', urlOf(key), [200, 204, 404]);
      if (answer.status === 404) refuseUnlessNoKey(await textOf(answer));
      else await answer.body?.cancel();
    },
  };
}

/**
 * Null for the one 404 that says that there is no such content; a missing bucket, and a proxy that knows no store, say nothing of
 * it (docs.aws.amazon.com, "Error responses"). Throws BlobStoreUnavailable for them.
 */
function refuseUnlessNoKey(body: string): null {
  const code = elementOf(body, 'Code');
  if (code === 'NoSuchKey') return null;
  throw new BlobStoreUnavailable(`the bucket answered 404${code === null ? '' : ` (${code.slice(0, 100)})`}`);
}

/** A small answer whole, which must have come within `limitMs`; lets go of what has not. Throws BlobStoreUnavailable. */
async function readText(answer: Response, limitMs: number): Promise<string> {
  if (!answer.body) return '';
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const pieces: Uint8Array[] = [];
  const readAll = async (): Promise<string> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(pieces).toString('utf8');
      pieces.push(value);
    }
  };
  try {
    return await withinTime(readAll(), limitMs, 'an answer did not end');
  } catch (error) {
    if (error instanceof BlobStoreUnavailable) throw error;
    throw new BlobStoreUnavailable('an answer broke off', error);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function* withFirst(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield first;
  yield* rest;
}

function completion(tags: readonly string[]): string {
  const parts = tags.map(
    (tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(tag)}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
}

function elementOf(xml: string, name: string): string | null {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text === undefined ? null : unescapeXml(text);
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function unescapeXml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}

function sha256(body: Uint8Array | string): string {
  return createHash('sha256').update(body).digest('hex');
}
