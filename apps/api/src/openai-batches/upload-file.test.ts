import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { ClientRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenAI, RateLimitError, toFile } from 'openai';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';
import { createUploadsUnderWay } from './uploads-under-way.ts';

const QUOTA = 300_000;
let folder: string;
let api: TestApi;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upload-file-'));
  api = await startTestApi({
    MILLRACE_BLOB_STORE: `file:${folder}`,
    MILLRACE_TENANT_MAX_FILE_BYTES: String(QUOTA),
  });
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

/** A form without an announced length, of which a file has begun. */
function beginUpload(key: string, bytes: number): ClientRequest {
  const request = httpRequest(`${api.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'multipart/form-data; boundary=b' },
  });
  request.on('error', () => undefined);
  request.write('--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n');
  request.write('--b\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n');
  request.write('x'.repeat(bytes));
  return request;
}

const answerTo = (request: ClientRequest): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    request.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (body += piece));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.once('error', reject);
    });
    request.once('error', reject);
  });

const uploading = async (tenantId: string): Promise<number> =>
  (
    await api.database.query(`SELECT id FROM client_files WHERE tenant_id = $1 AND status = 'uploading'`, [
      tenantId,
    ])
  ).length;

const untilUploading = (tenantId: string, count: number): Promise<unknown> =>
  waitFor(async () => (await uploading(tenantId)) === count, {
    timeoutMs: 10_000,
    what: () => `${count} uploads of ${tenantId}`,
  });

/** Until some upload that has not ended has brought so much. */
const untilWritten = (bytes: number): Promise<unknown> =>
  waitFor(
    async () => {
      const names = await readdir(folder, { recursive: true });
      const unfinished = names.filter((name) => name.includes('.'));
      const sizes = await Promise.all(unfinished.map(async (name) => (await stat(join(folder, name))).size));
      return sizes.some((size) => size >= bytes);
    },
    { timeoutMs: 10_000, what: () => `${bytes} bytes of an upload` },
  );

const smallFile = async (): Promise<File> => toFile(Buffer.from('x'), 'in.jsonl');

describe('uploads at the same time', () => {
  it('have a bound by tenant: one more is answered 429 with Retry-After, and goes through when one is over', async () => {
    const key = await api.createKey('crowd', 'jobs');
    const open = Array.from({ length: 8 }, () => beginUpload(key, 1));
    await untilUploading('crowd', 8);
    const client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: key, maxRetries: 0 });
    const refused: unknown = await client.files
      .create({ file: await smallFile(), purpose: 'batch' })
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RateLimitError);
    const { code, type, headers } = refused as InstanceType<typeof RateLimitError>;
    expect([code, type, headers.get('retry-after'), headers.get('x-should-retry')]).toEqual([
      'rate_limit_exceeded',
      'requests',
      '1',
      null,
    ]);
    const neighbour = new OpenAI({
      baseURL: `${api.url}/v1`,
      apiKey: await api.createKey('neighbour', 'jobs'),
      maxRetries: 0,
    });
    await neighbour.files.create({ file: await smallFile(), purpose: 'batch' });

    const retrying = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: key });
    const retried = retrying.files.create({ file: await smallFile(), purpose: 'batch' });
    await waitFor(async () => api.logs().filter(({ status }) => status === 429).length === 2, {
      timeoutMs: 10_000,
      what: () => 'the SDK to be refused once',
    });
    open[0]!.destroy();
    expect((await retried).status).toBe('processed');
    for (const request of open) request.destroy();
    await untilUploading('crowd', 0);
  });

  it('have a bound by process, and give their places back', () => {
    const uploads = createUploadsUnderWay();
    const begun = Array.from({ length: 32 }, (_, index) => uploads.begin(`tenant-${index % 4}`, 10));
    expect(() => uploads.begin('another', 1)).toThrow('Too many uploads are under way.');
    expect(() => uploads.begin('tenant-0', 1)).toThrow('The tenant has 8 uploads under way');
    expect(uploads.bytesOf('tenant-0')).toBe(80);
    uploads.end(begun[0]!);
    uploads.end(begun[0]!);
    expect(uploads.bytesOf('tenant-0')).toBe(70);
    uploads.begin('another', 1);
    expect(() => uploads.begin('another', 1)).toThrow('Too many uploads are under way.');
  });
});

describe('the quota', () => {
  it('cuts an upload that does not say how long it is where the room ends', async () => {
    const key = await api.createKey('endless', 'jobs');
    const request = beginUpload(key, QUOTA + 1_000);
    const { status, body } = await answerTo(request);
    expect([status, body]).toEqual([400, expect.stringContaining('file_storage_quota_exceeded')]);
    request.destroy();
    await untilUploading('endless', 0);
    const names = await readdir(folder, { recursive: true });
    const [row] = await api.database.query<{ id: string }>(
      `SELECT id FROM client_files WHERE tenant_id = 'endless'`,
    );
    expect(names.filter((name) => name.includes(row!.id))).toEqual([]);
  });

  it('counts what other uploads of the tenant have brought, until they are over', async () => {
    const key = await api.createKey('pair', 'jobs');
    const client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: key, maxRetries: 0 });
    const upload = async (): Promise<unknown> =>
      client.files.create({ file: await toFile(Buffer.alloc(60_000, 'x'), 'in.jsonl'), purpose: 'batch' });
    const first = beginUpload(key, 250_000);
    await untilWritten(245_000);
    expect(await upload().catch(codeOf)).toBe('file_storage_quota_exceeded');
    first.destroy();
    await untilUploading('pair', 0);
    expect(await upload()).toMatchObject({ status: 'processed' });
  });
});

function codeOf(error: unknown): unknown {
  return error instanceof OpenAI.APIError ? error.code : error;
}

describe('a form', () => {
  it.each([
    ['file', 1, 'invalid_value'],
    ['file', 200_000, 'invalid_value'],
    ['attachment', 1, 'unknown_parameter'],
  ])(
    'with a second file, %s of %s bytes, is refused by its name, and nothing of it is kept',
    async (name, bytes, code) => {
      const form = new FormData();
      form.set('purpose', 'batch');
      form.append('file', new Blob(['x']), 'in.jsonl');
      form.append(name, new Blob(['y'.repeat(bytes)]), 'more.jsonl');
      const tenantId = `double-${name}-${bytes}`;
      const key = await api.createKey(tenantId, 'jobs');
      const answer = await fetch(`${api.url}/v1/files`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body: form,
      });
      expect([answer.status, await answer.json()]).toMatchObject([
        400,
        { error: { type: 'invalid_request_error', param: name, code } },
      ]);
      expect(answer.headers.get('x-should-retry')).toBe('false');
      const stored = `SELECT FROM client_files WHERE tenant_id = $1 AND status = 'stored'`;
      expect(await api.database.query(stored, [tenantId])).toEqual([]);
    },
  );

  it.each(['expires_at', 'expires_after', 'expires_after[days]', 'Purpose', 'file_id'])(
    'with the field %s is refused by its name',
    async (name) => {
      const form = new FormData();
      form.set('purpose', 'batch');
      form.set(name, 'batch');
      form.set('file', new Blob(['x']), 'in.jsonl');
      const key = await api.createKey('strict', 'jobs');
      const answer = await fetch(`${api.url}/v1/files`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body: form,
      });
      expect([answer.status, await answer.json()]).toEqual([
        400,
        {
          error: {
            message: `Unknown parameter: '${name}'.`,
            type: 'invalid_request_error',
            param: name,
            code: 'unknown_parameter',
          },
        },
      ]);
      expect(answer.headers.get('x-should-retry')).toBe('false');
    },
  );
});
