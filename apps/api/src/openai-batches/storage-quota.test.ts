import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenAI, toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

const QUOTA = 300_000;
let folder: string;
let api: TestApi;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'storage-quota-'));
  api = await startTestApi({
    MILLRACE_BLOB_STORE: `file:${folder}`,
    MILLRACE_TENANT_MAX_FILE_BYTES: String(QUOTA),
  });
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

async function clientOf(tenant: string): Promise<OpenAI> {
  return new OpenAI({ baseURL: `${api.url}/v1`, apiKey: await api.createKey(tenant, 'jobs') });
}

const upload = async (client: OpenAI, bytes: number) =>
  client.files.create({ file: await toFile(Buffer.alloc(bytes, 'x'), 'in.jsonl'), purpose: 'batch' });

const refusal = (error: unknown): unknown[] => {
  if (!(error instanceof OpenAI.APIError)) throw error;
  const { status, code, message, headers } = error as InstanceType<typeof OpenAI.APIError>;
  return [status, code, message, headers?.get('x-should-retry')];
};
const QUOTA_REFUSAL = [
  400,
  'file_storage_quota_exceeded',
  expect.stringContaining(`limited to ${QUOTA} bytes`),
  'false',
];

it('a tenant may fill its quota to the last byte, and not pass it', async () => {
  const client = await clientOf('filler');
  await upload(client, QUOTA - 10);
  expect(refusal(await upload(client, 11).catch((error: unknown) => error))).toEqual(QUOTA_REFUSAL);
  await upload(client, 10);
  expect(refusal(await upload(client, 1).catch((error: unknown) => error))).toEqual(QUOTA_REFUSAL);
  await upload(await clientOf('neighbour'), QUOTA);
});

it('of uploads at the same time as many are kept as there is room for', async () => {
  const client = await clientOf('crowd');
  const results = await Promise.all(
    Array.from({ length: 12 }, () => upload(client, 70_000).catch((error: unknown) => refusal(error))),
  );
  const kept = results.filter((result) => typeof result === 'object' && 'id' in result);
  expect(kept).toHaveLength(4);
  expect(results.filter((result) => Array.isArray(result))).toEqual(Array(8).fill(QUOTA_REFUSAL));
  const sum = await api.database.query(
    `SELECT sum(bytes)::int AS bytes FROM client_files WHERE tenant_id = 'crowd' AND status = 'stored'`,
  );
  expect(sum).toEqual([{ bytes: 280_000 }]);
});

it('what is deleted or expires makes room, once no batch reads it', async () => {
  const client = await clientOf('mover');
  const first = await upload(client, QUOTA);
  await client.files.delete(first.id);
  const second = await upload(client, QUOTA);
  await api.database.query(`UPDATE client_files SET expires_at = now() WHERE id = $1`, [second.id]);
  const third = await upload(client, QUOTA);
  const batch = await client.batches.create({
    input_file_id: third.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  await client.files.delete(third.id);
  expect(refusal(await upload(client, 1).catch((error: unknown) => error))).toEqual(QUOTA_REFUSAL);
  await api.database.query(`UPDATE client_batches SET ended_at = now(), status = 'failed' WHERE id = $1`, [
    batch.id,
  ]);
  await upload(client, QUOTA);
});
