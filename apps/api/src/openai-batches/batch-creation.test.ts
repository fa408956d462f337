import { createFleet } from '@millrace/capacity';
import type { ScalingPlan } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { waitFor } from '@millrace/test-support';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenAI, toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let folder: string;
let api: TestApi;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batch-creation-'));
  api = await startTestApi({ MILLRACE_BLOB_STORE: `file:${folder}` });
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

async function clientOf(tenant: string): Promise<OpenAI> {
  return new OpenAI({
    baseURL: `${api.url}/v1`,
    apiKey: await api.createKey(tenant, 'jobs'),
    maxRetries: 0,
  });
}

const upload = async (client: OpenAI): Promise<string> => {
  const file = await toFile(Buffer.from('{"custom_id":"1"}\n'), 'in.jsonl');
  return (await client.files.create({ file, purpose: 'batch' })).id;
};

const wanted = (inputFileId: string, window = '24h'): OpenAI.BatchCreateParams => ({
  input_file_id: inputFileId,
  endpoint: '/v1/chat/completions',
  completion_window: window as '24h',
});

const errorOf = async (call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> => {
  const error = await call.catch((thrown: unknown) => thrown);
  if (!(error instanceof OpenAI.APIError)) throw error;
  return error;
};

it('the same key gives the same batch, also at the same time and after its file is gone', async () => {
  const client = await clientOf('acme');
  const input = await upload(client);
  const withKey = { headers: { 'Idempotency-Key': 'night of the 3rd' } };
  const created = await Promise.all(
    Array.from({ length: 5 }, () => client.batches.create(wanted(input), withKey)),
  );
  expect(new Set(created.map(({ id }) => id)).size).toBe(1);
  await client.files.delete(input);
  const { data: again, response } = await client.batches.create(wanted(input), withKey).withResponse();
  expect([again.id, response.headers.get('idempotent-replayed')]).toEqual([created[0]!.id, 'true']);
  expect((await client.batches.list()).data).toHaveLength(1);

  const other = await errorOf(client.batches.create(wanted(await upload(client)), withKey));
  expect([other.status, other.code, other.headers?.get('x-should-retry')]).toEqual([
    422,
    'idempotency_key_reused',
    'false',
  ]);
  const elsewhere = await clientOf('other');
  const foreign = await elsewhere.batches.create(wanted(await upload(elsewhere)), withKey);
  expect(foreign.id).not.toBe(again.id);
});

it('without a key every request is a new batch, and a key that is none is refused', async () => {
  const client = await clientOf('keyless');
  const input = await upload(client);
  const [a, b] = [await client.batches.create(wanted(input)), await client.batches.create(wanted(input))];
  expect(a.id).not.toBe(b.id);
  const invalid = { headers: { 'Idempotency-Key': 'x'.repeat(300) } };
  expect((await errorOf(client.batches.create(wanted(input), invalid))).code).toBe('idempotency_key_invalid');
});

it('a batch that no pool could begin in its window is refused until then, a patient one is not', async () => {
  const client = await clientOf('late');
  const input = await upload(client);
  const withKey = { headers: { 'Idempotency-Key': 'early' } };
  const early = await client.batches.create(wanted(input, '10m'), withKey);
  await publish(planBehindBy(1_500_000));
  let refused: Awaited<ReturnType<typeof errorOf>> | null = null;
  await waitFor(
    async () => {
      refused = await errorOf(client.batches.create(wanted(input, '10m'))).catch(() => null);
      return refused !== null;
    },
    { what: 'the plan to be seen' },
  );
  const { status, code, headers } = refused!;
  expect([status, code, Number(headers?.get('retry-after'))]).toEqual([429, 'queue_full', 1_500]);
  expect((await client.batches.create(wanted(input, '10m'), withKey)).id).toBe(early.id);
  expect((await client.batches.create(wanted(input, '30m'))).status).toBe('validating');
  expect((await client.batches.create(wanted(input, '24h'))).status).toBe('validating');
});

async function publish(plan: ScalingPlan): Promise<void> {
  const redis = connectRedis({ url: api.redisUrl, role: 'worker', name: 'test', onError: () => undefined });
  await createFleet({ redis, names: keyNames(api.prefix) }).publish(plan);
  await closeRedis(redis);
}

/** Standard work waits for this much longer than the two hours that it may. */
function planBehindBy(excessMs: number): ScalingPlan {
  const none = { waiting: 0, oldestAgeMs: 0, waitMs: 0, arrivals: [] };
  const waitMs = 7_200_000 + excessMs;
  return {
    workers: [{ id: 'a', capacity: 2, pools: ['openai'] }],
    wantedProcesses: 1,
    pools: {
      openai: {
        wanted: 1,
        granted: 1,
        feedable: null,
        bottleneck: 'backlog',
        running: 1,
        holdMs: 1_000,
        ratePerSecond: 1,
        classes: {
          realtime: none,
          standard: { waiting: 9, oldestAgeMs: waitMs, waitMs, arrivals: [] },
          background: none,
        },
      },
    },
  };
}
