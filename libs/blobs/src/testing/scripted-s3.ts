import { createHash, createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A small S3: objects, ranges, multipart uploads and Signature Version 4, each checked; everything is in memory. */
export interface ScriptedS3 {
  url: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** By `/bucket/key`. */
  objects: ReadonlyMap<string, Buffer>;
  /** Uploads that were begun and neither completed nor aborted. */
  openUploads(): number;
  /** `METHOD /path?query` of every request that was let in. */
  requests: readonly string[];
  /**
   * The next requests are answered so: a status, `late_error` for a completion that fails with status 200, `silence` for none
   * at all, `no_bucket` for 404 with that code, `stall` for the first half of a content, or the beginning of an answer, and nothing more.
   */
  answerWith(...answers: ScriptedAnswer[]): void;
  /** Connections that are open. */
  connections(): Promise<number>;
  stop(): Promise<void>;
}

type ScriptedAnswer = number | 'no_bucket' | 'as_usual' | 'late_error' | 'silence' | 'stall';

/** Listens on a free port of 127.0.0.1. */
export async function startScriptedS3(): Promise<ScriptedS3> {
  const credentials = {
    region: 'test-1',
    accessKeyId: 'AKIDSCRIPTED',
    secretAccessKey: 'a secret of the test',
  };
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const requests: string[] = [];
  const scripted: ScriptedAnswer[] = [];
  let uploadCount = 0;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? '', 'http://s3');
    if (!isSigned(request, url, body, credentials)) return void response.writeHead(403).end();
    requests.push(`${request.method} ${request.url}`);
    const script = scripted.shift();
    if (typeof script === 'number') return void response.writeHead(script).end('<Error/>');
    if (script === 'silence') return;
    if (script === 'no_bucket') return void response.writeHead(404).end(errorOf('NoSuchBucket'));
    const key = url.pathname;
    const uploadId = url.searchParams.get('uploadId');
    switch (request.method) {
      case 'PUT': {
        const part = url.searchParams.get('partNumber');
        if (part === null) objects.set(key, body);
        else uploads.get(uploadId ?? '')!.set(Number(part), body);
        return void response
          .writeHead(200, { etag: `"${createHash('md5').update(body).digest('hex')}"` })
          .end();
      }
      case 'POST': {
        if (script === 'stall') return void response.writeHead(200).write('<?xml version="1.0"?>');
        if (url.searchParams.has('uploads')) {
          uploadCount += 1;
          const id = `upload+${uploadCount}/&`;
          uploads.set(id, new Map());
          return void response
            .writeHead(200)
            .end(`<?xml version="1.0"?><R><UploadId>${id.replaceAll('&', '&amp;')}</UploadId></R>`);
        }
        if (script === 'late_error')
          return void response.writeHead(200).end('<Error><Code>InternalError</Code></Error>');
        const parts = uploads.get(uploadId ?? '')!;
        const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]+)</g)];
        const inOrder = named.map(([, number]) => parts.get(Number(number))!);
        // As S3: every part but the last has 5 MiB at least, and all are named.
        const fits =
          inOrder.length === parts.size &&
          inOrder.slice(0, -1).every((part) => part.length >= 5 * 1024 * 1024);
        if (!fits) return void response.writeHead(400).end('<Error/>');
        objects.set(key, Buffer.concat(inOrder));
        uploads.delete(uploadId ?? '');
        return void response.writeHead(200).end('<CompleteMultipartUploadResult/>');
      }
      case 'DELETE':
        if (uploadId === null) objects.delete(key);
        else uploads.delete(uploadId);
        return void response.writeHead(204).end();
      default: {
        const object = objects.get(key);
        if (!object) return void response.writeHead(404).end(errorOf('NoSuchKey'));
        const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
        if (from > 0 && from >= object.length) return void response.writeHead(416).end();
        const rest = object.subarray(from);
        response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length });
        if (script === 'stall') return void response.write(rest.subarray(0, rest.length / 2));
        return void response.end(rest);
      }
    }
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    ...credentials,
    objects,
    openUploads: () => uploads.size,
    requests,
    answerWith: (...answers) => void scripted.push(...answers),
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function errorOf(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`;
}

/** Signature Version 4, computed anew from what came in (docs.aws.amazon.com, "Authenticating Requests"). */
function isSigned(
  request: IncomingMessage,
  url: URL,
  body: Buffer,
  credentials: { region: string; accessKeyId: string; secretAccessKey: string },
): boolean {
  const { headers } = request;
  const authorization = headers.authorization ?? '';
  const [, accessKeyId, scope = '', names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]+)$/.exec(
      authorization,
    ) ?? [];
  const declared = String(headers['x-amz-content-sha256']);
  if (body.length > 0 && declared !== createHash('sha256').update(body).digest('hex')) return false;
  const encode = (text: string): string =>
    encodeURIComponent(text).replace(
      /[!'()*]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const canonical = [
    request.method,
    url.pathname,
    query,
    ...names.split(';').map((name) => `${name}:${String(headers[name])}`),
    '',
    names,
    declared,
  ].join('\n');
  const [date = ''] = scope.split('/');
  const toSign = [
    'AWS4-HMAC-SHA256',
    headers['x-amz-date'],
    `${date}/${credentials.region}/s3/aws4_request`,
    createHash('sha256').update(canonical).digest('hex'),
  ].join('\n');
  const key = [date, credentials.region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (secret, text) => createHmac('sha256', secret).update(text).digest(),
    `AWS4${credentials.secretAccessKey}`,
  );
  const expected = createHmac('sha256', key).update(toSign).digest('hex');
  return accessKeyId === credentials.accessKeyId && signature === expected;
}
