import { eraseJob, redeliver, rotateSecret } from '@millrace/ledger';
import { OpenAI } from 'openai';
import { describe, expect, it } from 'vitest';
import { deliverWebhook } from './deliver.ts';
import { useDeliveries, verified } from './testing/use-deliveries.ts';

const deliveries = useDeliveries();

const DAY_MS = 24 * 3_600_000;

/** Gives an endpoint a new secret, which it returns. */
async function rotate(endpointId: string): Promise<string> {
  const { database } = deliveries.ledger;
  const rotated = await rotateSecret(database, deliveries.tenantId, endpointId, DAY_MS);
  if (rotated.outcome !== 'rotated') throw new Error(rotated.outcome);
  return rotated.secret;
}

describe('a delivery', () => {
  it('arrives as the job object in an event that the standardwebhooks package verifies', async () => {
    const { endpoint, jobId, deliveryId } = await deliveries.toEndpoint();
    const used = deliveries.dependencies();

    expect(await deliverWebhook(used, deliveryId)).toEqual({
      outcome: 'delivered',
      fence: 1,
      nextDelayMs: null,
    });

    const arrival = deliveries.receiver.arrivals[0]!;
    const event = verified(arrival, endpoint.secret);
    expect(event).toMatchObject({
      object: 'event',
      type: 'job.completed',
      data: {
        id: jobId,
        object: 'job',
        status: 'completed',
        output: 'done',
        metadata: { feature: 'digest' },
      },
    });
    expect(event.id).toMatch(/^evt_/);
    expect(arrival.headers['webhook-id']).toBe(event.id);
    expect(arrival.headers['content-type']).toBe('application/json');
    expect(Date.parse(event.timestamp) / 1_000 - event.created_at).toBeLessThan(1);
    expect(event).not.toHaveProperty('thin');
    expect(await deliveries.delivery(deliveryId)).toMatchObject({
      status: 'delivered',
      nextTryAt: null,
      tries: [{ number: 1, httpStatus: 204, error: null }],
    });
    expect(used.enqueued).toEqual([]);
  });

  it("is accepted by webhooks.unwrap of OpenAI's SDK", async () => {
    const { endpoint, jobId, deliveryId } = await deliveries.toEndpoint();
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const { body, headers } = deliveries.receiver.arrivals[0]!;
    const client = new OpenAI({ apiKey: 'sk-test', webhookSecret: endpoint.secret });
    expect(await client.webhooks.unwrap(body, headers)).toMatchObject({
      object: 'event',
      data: { id: jobId },
    });
    expect(await client.webhooks.unwrap(body, headers, endpoint.secret)).toMatchObject({
      data: { id: jobId },
    });
    await expect(client.webhooks.unwrap(`${body} `, headers, endpoint.secret)).rejects.toThrow();
  });

  it("to a job's own URL is signed with the tenant's secret", async () => {
    const { deliveryId } = await deliveries.toJobUrl();
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(verified(deliveries.receiver.arrivals[0]!, await deliveries.tenantSecret()).type).toBe(
      'job.completed',
    );
  });

  it('is signed with both secrets after a rotation, and with the new one alone when a day has passed', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    const rotated = await rotate(endpoint.id);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const [first] = deliveries.receiver.arrivals;
    expect(first!.headers['webhook-signature']!.split(' ')).toHaveLength(2);
    expect(verified(first!, endpoint.secret).id).toBe(verified(first!, rotated).id);
    const client = new OpenAI({ apiKey: 'sk-test' });
    await client.webhooks.unwrap(first!.body, first!.headers, endpoint.secret);
    await client.webhooks.unwrap(first!.body, first!.headers, rotated);

    await deliveries.ledger.database.query(
      `UPDATE webhook_endpoints SET previous_secret_expires_at = now() - interval '1 second' WHERE id = $1`,
      [endpoint.id],
    );
    await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const [, second] = deliveries.receiver.arrivals;
    expect(verified(second!, rotated).id).toBe(verified(first!, rotated).id);
    expect(() => verified(second!, endpoint.secret)).toThrow();
  });

  it('is signed with every secret that was replaced within the day, each for its own time', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    const deployed = endpoint.secret;
    // Rotated again because the answers were lost: the receiver still has the first.
    const secrets = [
      deployed,
      await rotate(endpoint.id),
      await rotate(endpoint.id),
      await rotate(endpoint.id),
    ];
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const [first] = deliveries.receiver.arrivals;
    expect(first!.headers['webhook-signature']!.split(' ')).toHaveLength(4);
    for (const secret of secrets) verified(first!, secret);
    await new OpenAI({ apiKey: 'sk-test' }).webhooks.unwrap(first!.body, first!.headers, deployed);

    await deliveries.ledger.database.query(
      `UPDATE webhook_endpoints SET older_secrets_expire_at[1] = now() - interval '1 second' WHERE id = $1`,
      [endpoint.id],
    );
    secrets.push(await rotate(endpoint.id));
    await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const [, second] = deliveries.receiver.arrivals;
    expect(() => verified(second!, deployed)).toThrow();
    for (const secret of secrets.slice(1)) verified(second!, secret);
  });

  it('keeps the signature of the oldest secret however often the endpoint is rotated', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    for (let rotation = 1; rotation <= 5; rotation += 1) await rotate(endpoint.id);
    const refused = await rotateSecret(deliveries.ledger.database, deliveries.tenantId, endpoint.id, DAY_MS);
    expect(refused).toEqual({ outcome: 'too_often', retryAfterMs: expect.any(Number) as number });
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const [arrival] = deliveries.receiver.arrivals;
    expect(arrival!.headers['webhook-signature']!.split(' ')).toHaveLength(6);
    verified(arrival!, endpoint.secret);
  });

  it('over 20 kB names the job only and says that it is thin', async () => {
    const { endpoint, jobId, deliveryId } = await deliveries.toEndpoint('ü'.repeat(15_000));
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    const event = verified(deliveries.receiver.arrivals[0]!, endpoint.secret);
    expect(event.thin).toBe(true);
    expect(event.data).toEqual({ id: jobId, object: 'job', status: 'completed' });
  });

  it('of an erased job carries no content', async () => {
    const { endpoint, jobId, deliveryId } = await deliveries.toEndpoint('secret text');
    await eraseJob(deliveries.ledger.database, deliveries.tenantId, jobId);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(verified(deliveries.receiver.arrivals[0]!, endpoint.secret).data).toMatchObject({
      erased: true,
      output: null,
    });
  });
});

describe('a try that fails', () => {
  it('is repeated on the schedule under the same webhook-id, ten times in all, then listed as exhausted', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(500);
    let clock = Date.now();
    const used = deliveries.dependencies({ now: () => clock });
    for (let round = 1; round <= 10; round += 1) {
      const outcome = await deliverWebhook(used, deliveryId);
      expect(outcome).toMatchObject({ outcome: round === 10 ? 'exhausted' : 'retry' });
      clock += 1_000;
      await deliveries.ledger.makeDue(deliveryId);
    }
    expect(used.enqueued.map(([id, fence, delayMs]) => [id, fence, delayMs / 1_000])).toEqual(
      [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map((delay, index) => [
        deliveryId,
        index + 1,
        delay,
      ]),
    );
    expect(new Set(deliveries.receiver.arrivals.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(
      new Set(deliveries.receiver.arrivals.map(({ headers }) => headers['webhook-timestamp'])).size,
    ).toBe(10);
    for (const arrival of deliveries.receiver.arrivals) verified(arrival, endpoint.secret);
    const delivery = await deliveries.delivery(deliveryId);
    expect(delivery).toMatchObject({ status: 'exhausted', nextTryAt: null });
    expect(delivery.tries.map(({ number, httpStatus }) => [number, httpStatus])).toEqual(
      Array.from({ length: 10 }, (_, index) => [index + 1, 500]),
    );
    expect(await deliverWebhook(used, deliveryId)).toEqual({ outcome: 'skipped' });
    expect((await deliveries.endpoint(endpoint.id)).consecutiveFailures).toBe(1);
  });

  it('is not repeated before its time, and the ledger wakes it when the queue forgets', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(503);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toEqual({ outcome: 'skipped' });
    const [row] = await deliveries.ledger.database.query<{ wait: number; grace: number }>(
      `SELECT extract(epoch FROM not_before - now())::float8 AS wait, extract(epoch FROM wake_at - not_before)::float8 AS grace
       FROM webhook_deliveries WHERE id = $1`,
      [deliveryId],
    );
    expect(row!.wait).toBeGreaterThan(3);
    expect(row!.wait).toBeLessThanOrEqual(5);
    expect(row!.grace).toBe(10);
  });

  it('waits for Retry-After', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(429, { 'retry-after': '3600' });
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      nextDelayMs: 3_600_000,
    });
  });

  it('because of a redirect does not follow it', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(302, { location: `http://${deliveries.receiver.host}/elsewhere` });
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({ outcome: 'retry' });
    expect(deliveries.receiver.arrivals).toHaveLength(1);
    const { tries } = await deliveries.delivery(deliveryId);
    expect(tries[0]).toMatchObject({ httpStatus: 302, error: 'redirects are not followed' });
  });

  it('because of the time is listed without a status', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    deliveries.receiver.answerWith(() => {});
    await deliverWebhook(deliveries.dependencies({ settings: { timeoutMs: 150 } }), deliveryId);
    const { tries } = await deliveries.delivery(deliveryId);
    expect(tries[0]).toMatchObject({ httpStatus: null, error: 'no answer within 150 ms' });
    expect(tries[0]!.durationMs).toBeGreaterThanOrEqual(140);
  });

  it('with the wish for no further try ends the delivery and leaves the endpoint enabled', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(500, { 'webhook-delivery': 'abort-message' });
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'exhausted',
    });
    expect((await deliveries.endpoint(endpoint.id)).enabled).toBe(true);
  });

  it('is logged once, with the host and without the path, the query, the secret and the content', async () => {
    const { endpoint, jobId, deliveryId } = await deliveries.toEndpoint('private output');
    deliveries.failWith(500);
    const used = deliveries.dependencies();
    await deliverWebhook(used, deliveryId);
    expect(used.logged).toHaveLength(1);
    expect(used.logged[0]).toMatchObject({
      delivery: deliveryId,
      job: jobId,
      tenant: deliveries.tenantId,
      endpoint: endpoint.id,
      event_type: 'job.completed',
      request_id: 'req_1',
      host: deliveries.receiver.host,
      try: 1,
      outcome: 'retry',
      http_status: 500,
      next_delay_ms: 5_000,
    });
    const text = JSON.stringify(used.logged);
    for (const secret of ['s3cret', endpoint.secret, 'private output', '/hooks'])
      expect(text).not.toContain(secret);
    expect(used.tries).toEqual(['retry']);
  });
});
