import { readdir } from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BadRequestError, NotFoundError, OpenAI, toFile } from 'openai';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let folder: string;
let api: TestApi;
let acme: OpenAI;
let other: OpenAI;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openai-batches-'));
  api = await startTestApi({ MILLRACE_BLOB_STORE: `file:${folder}` });
  acme = await clientOf('acme');
  other = await clientOf('other');
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

async function clientOf(tenant: string): Promise<OpenAI> {
  return new OpenAI({ baseURL: `${api.url}/v1`, apiKey: await api.createKey(tenant, 'jobs') });
}

const upload = async (text = '{"custom_id":"1"}\n', client = acme): Promise<string> =>
  (await client.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })).id;

/** What the SDK threw. */
async function refusalOf(promise: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await promise.then(
    () => new Error('was not refused'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OpenAI.APIError)) throw error;
  return error;
}

describe('files', () => {
  it('are uploaded, shown, listed, read and deleted by the official SDK', async () => {
    const text = `{"custom_id":"ü"}\n`.repeat(1_000);
    const file = await acme.files.create({
      file: await toFile(Buffer.from(text), 'a strange näme; x=1.jsonl'),
      purpose: 'batch',
    });
    expect(file).toMatchObject({
      object: 'file',
      bytes: Buffer.byteLength(text),
      filename: 'a strange näme; x=1.jsonl',
      purpose: 'batch',
      status: 'processed',
    });
    expect(file.expires_at! - file.created_at).toBe(30 * 86_400);
    expect(await acme.files.retrieve(file.id)).toEqual(file);
    const listed = [];
    for await (const each of acme.files.list({ limit: 1 })) listed.push(each.id);
    expect(listed).toContain(file.id);
    expect(await (await acme.files.content(file.id)).text()).toBe(text);
    expect(await acme.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    expect(await refusalOf(acme.files.retrieve(file.id))).toBeInstanceOf(NotFoundError);
    expect(await refusalOf(acme.files.content(file.id))).toBeInstanceOf(NotFoundError);
  });

  it('page through by their ids, in both directions, by purpose', async () => {
    const client = await clientOf('lister');
    const ids = [];
    for (let count = 0; count < 5; count += 1) ids.push(await upload('x', client));
    const walk = async (order: 'asc' | 'desc'): Promise<string[]> => {
      const seen = [];
      for await (const file of client.files.list({ limit: 2, order, purpose: 'batch' })) seen.push(file.id);
      return seen;
    };
    expect(await walk('asc')).toEqual(ids);
    expect(await walk('desc')).toEqual([...ids].reverse());
    expect((await client.files.list({ purpose: 'batch_output' })).data).toEqual([]);
  });

  it('live as long as the upload says', async () => {
    const file = await acme.files.create({
      file: await toFile(Buffer.from('x'), 'in.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(file.expires_at! - file.created_at).toBe(3_600);
    await api.database.query(`UPDATE client_files SET expires_at = now() WHERE id = $1`, [file.id]);
    expect(await refusalOf(acme.files.retrieve(file.id))).toBeInstanceOf(NotFoundError);
  });

  it('are refused with the parameter that is wrong', async () => {
    const file = (name = 'in.jsonl', text = 'x'): Promise<File> => toFile(Buffer.from(text), name);
    const refused = async (body: object): Promise<unknown> => {
      const error = await refusalOf(acme.files.create(body as never));
      return [error.status, error.param, error.headers?.get('x-should-retry')];
    };
    expect(await refused({ file: await file(), purpose: 'vision' })).toEqual([400, 'purpose', 'false']);
    expect(await refused({ file: await file() })).toEqual([400, 'purpose', 'false']);
    expect(await refused({ purpose: 'batch' })).toEqual([400, 'file', 'false']);
    expect(await refused({ file: await file('in.txt'), purpose: 'batch' })).toEqual([400, 'file', 'false']);
    expect(await refused({ file: await file('in.jsonl', ''), purpose: 'batch' })).toEqual([
      400,
      'file',
      'false',
    ]);
    const wrongLife = { anchor: 'created_at', seconds: 1 };
    expect(await refused({ file: await file(), purpose: 'batch', expires_after: wrongLife })).toEqual([
      400,
      'expires_after.seconds',
      'false',
    ]);
    expect((await readBlobs()).filter((name) => name.startsWith('file_')).length).toBeGreaterThan(0);
    expect(await api.database.query(`SELECT id FROM client_files WHERE status = 'uploading'`)).toEqual([]);
  });

  it('that are cut off on the way leave nothing that anybody sees, and no half blob', async () => {
    const key = await api.createKey('cutter', 'jobs');
    const before = await readBlobs();
    const half = httpRequest(`${api.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'multipart/form-data; boundary=b' },
    });
    half.on('error', () => undefined);
    half.write('--b\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n');
    half.write('x'.repeat(500_000));
    const rows = (): Promise<{ status: string }[]> =>
      api.database.query(`SELECT status FROM client_files WHERE tenant_id = 'cutter'`);
    await waitFor(async () => (await readBlobs()).length > before.length, {
      timeoutMs: 5_000,
      what: () => 'the blob',
    });
    expect(await rows()).toEqual([{ status: 'uploading' }]);
    half.destroy();
    await waitFor(async () => (await rows())[0]?.status === 'deleted', {
      timeoutMs: 5_000,
      what: () => 'the upload to be given up',
    });
    expect(await readBlobs()).toEqual(before);
    expect((await (await clientOf('cutter')).files.list()).data).toEqual([]);
  });

  it.each([
    ['with its file', 'name="file"; filename="in.jsonl"'],
    ['with another part', 'name="upload"; filename="in.jsonl"'],
  ])('answers a form that ends too early with 400, %s, and lives on', async (_what, part) => {
    const key = await api.createKey('breaker', 'jobs');
    const before = await readBlobs();
    for (const content of ['abc', 'x'.repeat(300_000)]) {
      const answer = await api.send<{ error: object }>(key, 'POST', '/v1/files', {
        body: `--b\r\ncontent-disposition: form-data; ${part}\r\n\r\n${content}`,
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
      });
      expect([answer.status, answer.body.error]).toEqual([
        400,
        expect.objectContaining({ message: 'Could not parse multipart form' }),
      ]);
    }
    expect(await readBlobs()).toEqual(before);
    expect((await (await clientOf('breaker')).files.list()).data).toEqual([]);
  });

  it('answers nonsense in place of a form with 400', async () => {
    const key = await api.createKey('acme', 'jobs');
    const bad = [
      { 'content-type': 'application/json' },
      { 'content-type': 'multipart/form-data' },
      { 'content-type': 'multipart/form-data; boundary=b' },
    ];
    for (const headers of bad) {
      const answer = await api.send<{ error: object }>(key, 'POST', '/v1/files', {
        body: 'nonsense',
        headers,
      });
      expect(answer.status).toBe(400);
      expect(answer.body.error).toMatchObject({
        type: 'invalid_request_error',
        message: 'Could not parse multipart form',
      });
    }
  });
});

async function readBlobs(): Promise<string[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  return names.filter((each) => each.isFile()).map((each) => each.name);
}

describe('batches', () => {
  it('are created, shown, listed and cancelled by the official SDK', async () => {
    const input = await upload();
    const batch = await acme.batches.create({
      input_file_id: input,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { name: 'nightly' },
      output_expires_after: { anchor: 'created_at', seconds: 7_200 },
    });
    expect(batch).toMatchObject({
      object: 'batch',
      status: 'validating',
      input_file_id: input,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { name: 'nightly' },
      request_counts: { total: 0, completed: 0, failed: 0 },
      output_file_id: null,
      errors: null,
    });
    expect(batch.expires_at! - batch.created_at).toBe(86_400);
    expect(await acme.batches.retrieve(batch.id)).toEqual(batch);
    const cancelled = await acme.batches.cancel(batch.id);
    expect(cancelled.status).toBe('cancelling');
    expect(await acme.batches.cancel(batch.id)).toEqual(cancelled);
    await api.database.query(
      `UPDATE client_batches SET status = 'cancelled', cancelled_at = now(), ended_at = now() WHERE id = $1`,
      [batch.id],
    );
    const error = await refusalOf(acme.batches.cancel(batch.id));
    expect([error.status, error.headers?.get('x-should-retry')]).toEqual([400, 'false']);
  });

  it('take any window, and page through', async () => {
    const client = await clientOf('pages');
    const input = await upload('x', client);
    const ids = [];
    for (const window of ['24h', '1h', '15m']) {
      const batch = await client.batches.create({
        input_file_id: input,
        endpoint: '/v1/responses',
        completion_window: window as '24h',
      });
      ids.push(batch.id);
    }
    const listed = [];
    for await (const batch of client.batches.list({ limit: 2 })) listed.push(batch.id);
    expect(listed).toEqual(ids.reverse());
  });

  it('are refused with the parameter that is wrong, and the SDK does not try again', async () => {
    const input = await upload();
    const good = { input_file_id: input, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const refused = async (change: object): Promise<unknown> => {
      const before = api.logs().length;
      const error = await refusalOf(acme.batches.create({ ...good, ...change } as never));
      expect(error).toBeInstanceOf(BadRequestError);
      expect(
        api
          .logs()
          .slice(before)
          .filter((line) => line['msg'] === 'request'),
      ).toHaveLength(1);
      return error.param;
    };
    expect(await refused({ input_file_id: 'file_unknown' })).toBe('input_file_id');
    expect(await refused({ endpoint: '/v1/jobs' })).toBe('endpoint');
    expect(await refused({ completion_window: 'soon' })).toBe('completion_window');
    expect(await refused({ completion_window: '1y' })).toBe('completion_window');
    expect(await refused({ metadata: { a: 1 } })).toBe('metadata.a');
    expect(await refused({ output_expires_after: { anchor: 'created_at', seconds: 1 } })).toBe(
      'output_expires_after.seconds',
    );
    expect(await refused({ purpose: 'batch' })).toBe('purpose');
  });

  it('and files of other tenants answer like unknown ones', async () => {
    const input = await upload();
    const batch = await acme.batches.create({
      input_file_id: input,
      endpoint: '/v1/responses',
      completion_window: '24h',
    });
    const unknown = async (call: Promise<unknown>, id: string): Promise<unknown> => {
      const error = await refusalOf(call);
      return [error.status, error.message.replaceAll(id, 'ID')];
    };
    const pairs: [() => Promise<unknown>, () => Promise<unknown>, string][] = [
      [() => other.files.retrieve(input), () => other.files.retrieve('file_no'), input],
      [() => other.files.content(input), () => other.files.content('file_no'), input],
      [() => other.files.delete(input), () => other.files.delete('file_no'), input],
      [() => other.batches.retrieve(batch.id), () => other.batches.retrieve('batch_no'), batch.id],
      [() => other.batches.cancel(batch.id), () => other.batches.cancel('batch_no'), batch.id],
    ];
    for (const [foreign, missing, id] of pairs) {
      expect(await unknown(foreign(), id)).toEqual(
        await unknown(missing(), id.startsWith('file') ? 'file_no' : 'batch_no'),
      );
    }
    const stolen = other.batches.create({
      input_file_id: input,
      endpoint: '/v1/responses',
      completion_window: '24h',
    });
    expect((await refusalOf(stolen)).param).toBe('input_file_id');
    expect((await other.files.list()).data).toEqual([]);
    expect((await other.batches.list()).data).toEqual([]);
    expect((await acme.batches.retrieve(batch.id)).status).toBe('validating');
  });
});

it('errors before and beside the routes have OpenAI’s shape too', async () => {
  const admin = await api.createKey('acme', 'admin');
  const cases: [string | null, string, string, number, string][] = [
    [null, 'GET', '/v1/files', 401, 'invalid_api_key'],
    [admin, 'GET', '/v1/batches/batch_x', 403, 'insufficient_scope'],
    [await api.createKey('acme', 'jobs'), 'PATCH', '/v1/batches', 405, 'method_not_allowed'],
    [await api.createKey('acme', 'jobs'), 'GET', '/v1/files/a/b/c', 404, 'not_found'],
    [await api.createKey('acme', 'jobs'), 'GET', '/v1/files?limit=0', 400, 'invalid_value'],
  ];
  for (const [key, method, path, status, code] of cases) {
    const answer = await api.send<{ error: { code: string } }>(key, method, path);
    expect([path, answer.status, answer.body.error?.code]).toEqual([path, status, code]);
    expect(answer.headers.get('x-should-retry')).toBe('false');
    expect(answer.headers.get('x-request-id')).toBeTruthy();
  }
  const elsewhere = await api.send(null, 'GET', '/v1/jobs');
  expect(elsewhere.headers.get('content-type')).toMatch(/problem\+json/);
});
