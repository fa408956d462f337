import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NotFoundError, OpenAI, toFile } from 'openai';
import type { Batch } from 'openai/resources/batches';
import { beginClientFinalizing } from '@millrace/ledger';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let folder: string;
let api: TestApi;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'official-sdk-'));
  api = await startTestApi({ MILLRACE_BLOB_STORE: `file:${folder}` });
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

/** With its own number of retries: what would fail again must tell it not to. */
async function clientOf(tenant: string): Promise<OpenAI> {
  return new OpenAI({ baseURL: `${api.url}/v1`, apiKey: await api.createKey(tenant, 'jobs') });
}

const upload = async (client: OpenAI, text = '{"custom_id":"1"}\n'): Promise<string> =>
  (await client.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })).id;

const create = async (client: OpenAI, input: string): Promise<Batch> =>
  client.batches.create({
    input_file_id: input,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });

const setStatus = (id: string, status: string): Promise<unknown> =>
  api.database.query(
    `UPDATE client_batches SET status = $2,
       ended_at = CASE WHEN $2 IN ('completed', 'failed', 'expired', 'cancelled') THEN now() END WHERE id = $1`,
    [id, status],
  );

const requests = (): number => api.logs().filter((line) => line['msg'] === 'request').length;

describe('cancelling', () => {
  it.each(['validating', 'in_progress', 'finalizing', 'cancelling'])(
    'a batch that is %s makes it cancelling',
    async (status) => {
      const client = await clientOf('canceller');
      const { id } = await create(client, await upload(client));
      await setStatus(id, status);
      expect(await client.batches.cancel(id)).toMatchObject({ id, status: 'cancelling' });
      expect((await client.batches.retrieve(id)).status).toBe('cancelling');
    },
  );

  it.each(['completed', 'failed', 'expired', 'cancelled'])(
    'a batch that is %s is refused once, and stays as it is',
    async (status) => {
      const client = await clientOf('canceller');
      const { id } = await create(client, await upload(client));
      await setStatus(id, status);
      const before = requests();
      const refused = client.batches.cancel(id);
      await expect(refused).rejects.toThrow(`400 Cannot cancel a batch with status '${status}'.`);
      expect(requests() - before).toBe(1);
      expect((await client.batches.retrieve(id)).status).toBe(status);
    },
  );
});

describe('a page', () => {
  it('of batches goes on after any id, and tells whether there is another', async () => {
    const client = await clientOf('pager');
    const input = await upload(client);
    const ids: string[] = [];
    for (let made = 0; made < 5; made += 1) ids.unshift((await create(client, input)).id);
    const first = await client.batches.list({ limit: 2 });
    expect([first.data.map(({ id }) => id), first.hasNextPage()]).toEqual([ids.slice(0, 2), true]);
    const second = await first.getNextPage();
    expect(second.data.map(({ id }) => id)).toEqual(ids.slice(2, 4));
    const last = await client.batches.list({ limit: 2, after: ids[3]! });
    expect([last.data.map(({ id }) => id), last.hasNextPage()]).toEqual([ids.slice(4), false]);
    expect((await client.batches.list({ after: ids[4]! })).data).toEqual([]);
    await expect(client.batches.list({ limit: 101 })).rejects.toMatchObject({ status: 400, param: 'limit' });
  });

  it('of files leaves out what was deleted on the way', async () => {
    const client = await clientOf('file-pager');
    const ids = [await upload(client), await upload(client), await upload(client)];
    const first = await client.files.list({ limit: 1, order: 'asc' });
    await client.files.delete(ids[0]!);
    await client.files.delete(ids[1]!);
    expect((await first.getNextPage()).data.map(({ id }) => id)).toEqual([ids[2]]);
    await expect(client.files.delete(ids[1]!)).rejects.toBeInstanceOf(NotFoundError);
  });
});

describe('while a batch runs', () => {
  it('its results are neither named nor to be had, and its input is', async () => {
    const client = await clientOf('runner');
    const text = '{"custom_id":"1"}\n'.repeat(20_000);
    const input = await upload(client, text);
    const { id } = await create(client, input);
    await setStatus(id, 'in_progress');
    const files = { outputFileId: 'file_output', errorFileId: 'file_errors' };
    await beginClientFinalizing(api.database, id, files);
    const running = await client.batches.retrieve(id);
    expect(running).toMatchObject({ status: 'finalizing', output_file_id: null, error_file_id: null });
    await expect(client.files.content('file_output')).rejects.toMatchObject({
      status: 404,
      message: '404 No such File object: file_output',
    });

    let bytes = 0;
    const content = await client.files.content(input);
    for await (const piece of content.body as unknown as AsyncIterable<Uint8Array>) bytes += piece.length;
    expect([bytes, content.headers.get('content-length')]).toEqual([text.length, String(text.length)]);
  });

  it('its input may be deleted, which takes it away at once and stops nothing', async () => {
    const client = await clientOf('deleter');
    const input = await upload(client);
    const { id } = await create(client, input);
    await client.files.delete(input);
    await expect(client.files.content(input)).rejects.toBeInstanceOf(NotFoundError);
    await expect(create(client, input)).rejects.toMatchObject({ status: 400, param: 'input_file_id' });
    expect(await client.batches.retrieve(id)).toMatchObject({ status: 'validating', input_file_id: input });
  });
});

it('a file is processed when the upload is answered, so that waiting for it ends at once', async () => {
  const client = await clientOf('waiter');
  const input = await upload(client);
  expect(await client.files.waitForProcessing(input, { maxWait: 1_000 })).toMatchObject({
    id: input,
    status: 'processed',
  });
});
