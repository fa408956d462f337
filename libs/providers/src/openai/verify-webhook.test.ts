import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { verifyProviderWebhook } from './verify-webhook.ts';

const key = Buffer.from('a webhook secret of 24 by');
const secret = `whsec_${key.toString('base64')}`;

/** Headers as Standard Webhooks 1.0.0 signs them. */
function signed(body: string, at: number) {
  const timestamp = String(Math.floor(at / 1000));
  const signature = createHmac('sha256', key).update(`wh_1.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': 'wh_1', 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

const event = (type: string) =>
  JSON.stringify({ id: 'evt_1', object: 'event', type, data: { id: 'batch_1' } });

test('a signed event of a batch names the batch', async () => {
  const body = event('batch.completed');
  expect(await verifyProviderWebhook(body, signed(body, Date.now()), secret)).toEqual({
    type: 'batch.completed',
    batchId: 'batch_1',
  });
});

test('a signed event of something else names no batch', async () => {
  const body = event('response.completed');
  expect(await verifyProviderWebhook(body, signed(body, Date.now()), secret)).toEqual({
    type: 'response.completed',
    batchId: null,
  });
});

test('what was changed, is old, unsigned, or signed with another secret is nothing', async () => {
  const body = event('batch.completed');
  const headers = signed(body, Date.now());
  expect(await verifyProviderWebhook(body.replace('batch_1', 'batch_2'), headers, secret)).toBeNull();
  expect(await verifyProviderWebhook(body, signed(body, Date.now() - 600_000), secret)).toBeNull();
  expect(
    await verifyProviderWebhook(body, { ...headers, 'webhook-signature': undefined }, secret),
  ).toBeNull();
  expect(await verifyProviderWebhook(body, headers, 'whsec_c29tZSBvdGhlciBzZWNyZXQgYWx0b2c=')).toBeNull();
  expect(await verifyProviderWebhook('no json', signed('no json', Date.now()), secret)).toBeNull();
});
