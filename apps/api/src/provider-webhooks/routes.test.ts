import { createHmac } from 'node:crypto';
import { createId } from '@millrace/contracts';
import { claimBatches, noteBatch, openBatch } from '@millrace/ledger';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

const key = Buffer.from('a webhook secret of 24 by');
const path = '/provider_webhooks/openai';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ OPENAI_WEBHOOK_SECRET: `whsec_${key.toString('base64')}` });
});
afterAll(() => api.stop());

/** A batch that runs at the provider and is to be looked at in an hour. */
async function runBatch(providerBatchId: string, provider = 'openai'): Promise<string> {
  const batch = await openBatch(api.database, {
    id: createId('providerBatch'),
    provider,
    model: 'm',
    target: `${provider}/m`,
    owner: 'a scheduler',
    leaseMs: 60_000,
  });
  await noteBatch(api.database, batch, { status: 'running', providerBatchId, wakeInMs: 3_600_000 });
  return batch.id;
}

const due = async (): Promise<string[]> =>
  (await claimBatches(api.database, 'a scheduler', 3_600_000, 100)).map(({ id }) => id);

function send(event: object, change: { at?: number; secret?: Buffer; path?: string } = {}) {
  const body = JSON.stringify(event);
  const timestamp = Math.floor((change.at ?? Date.now()) / 1_000);
  const signature = createHmac('sha256', change.secret ?? key)
    .update(`wh_1.${timestamp}.${body}`)
    .digest('base64');
  const headers = {
    'webhook-id': 'wh_1',
    'webhook-timestamp': `${timestamp}`,
    'webhook-signature': `v1,${signature}`,
  };
  return api.send(null, 'POST', change.path ?? path, { body, headers });
}
const completed = (id: string) => ({ id: 'evt_1', object: 'event', type: 'batch.completed', data: { id } });

test('the end of a batch lets that batch be looked at now, without a key', async () => {
  const [ours] = [await runBatch('batch_a'), await runBatch('batch_b')];
  expect(await due()).toEqual([]);
  expect((await send(completed('batch_a'))).status).toBe(204);
  expect(await due()).toEqual([ours]);
});

test('an event that is sent again, is early or is of no batch of ours changes nothing', async () => {
  const id = await runBatch('batch_c');
  await send(completed('batch_c'));
  const [batch] = await claimBatches(api.database, 'a scheduler', 3_600_000, 100);
  expect(batch!.id).toBe(id);
  await noteBatch(api.database, batch!, { status: 'reading', outcome: 'completed', wakeInMs: 3_600_000 });
  expect((await send(completed('batch_c'))).status).toBe(204);
  expect((await send(completed('batch_of_somebody'))).status).toBe(204);
  await runBatch('batch_d');
  expect((await send({ ...completed('batch_d'), type: 'response.completed' })).status).toBe(204);
  expect((await send({ ...completed('batch_d'), type: 'batch.in_progress' })).status).toBe(204);
  expect(await due()).toEqual([]);
});

test('what is not signed by the provider’s secret, or long ago, is refused and does nothing', async () => {
  await runBatch('batch_e');
  const refused = { status: 401, body: { code: 'webhook_signature_invalid' } };
  expect(await send(completed('batch_e'), { secret: Buffer.from('another secret of 24 byt') })).toMatchObject(
    refused,
  );
  expect(await send(completed('batch_e'), { at: Date.now() - 600_000 })).toMatchObject(refused);
  expect(await api.send(null, 'POST', path, { body: completed('batch_e') })).toMatchObject(refused);
  expect(await api.send(null, 'POST', path)).toMatchObject(refused);
  expect(await due()).toEqual([]);
});

test('a provider without a secret has no such address', async () => {
  for (const name of ['anthropic', 'nobody', '__proto__']) {
    expect(await send(completed('batch_a'), { path: `/provider_webhooks/${name}` })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
  }
});

test('a body of more than 64 KiB is refused', async () => {
  expect(await send({ ...completed('batch_a'), more: 'x'.repeat(65_536) })).toMatchObject({
    status: 413,
    body: { code: 'body_too_large' },
  });
});
