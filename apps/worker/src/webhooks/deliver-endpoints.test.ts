import { deleteEndpoint, patchEndpoint, redeliver } from '@millrace/ledger';
import { describe, expect, it } from 'vitest';
import { deliverWebhook } from './deliver.ts';
import { useDeliveries } from './testing/use-deliveries.ts';

const deliveries = useDeliveries();

describe('endpoints', () => {
  it('answering 410 are disabled at once, with the reason, and their other deliveries end', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    const other = (await deliveries.ledger.finishJob({ tenantId: deliveries.tenantId })).deliveryIds[0]!;
    deliveries.failWith(410);
    const used = deliveries.dependencies();
    expect(await deliverWebhook(used, deliveryId)).toMatchObject({ outcome: 'exhausted', nextDelayMs: null });
    expect(used.logged[0]).toMatchObject({ disabled: true });
    expect(await deliveries.endpoint(endpoint.id)).toMatchObject({
      enabled: false,
      disabledReason: 'the receiver answered 410 Gone',
      consecutiveFailures: 1,
    });
    expect((await deliveries.delivery(other)).status).toBe('exhausted');
    expect(await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId)).toEqual({
      outcome: 'endpoint_disabled',
    });
    expect((await deliveries.ledger.finishJob({ tenantId: deliveries.tenantId })).deliveryIds).toEqual([]);

    await patchEndpoint(deliveries.ledger.database, deliveries.tenantId, endpoint.id, { enabled: true });
    expect(await deliveries.endpoint(endpoint.id)).toMatchObject({
      enabled: true,
      disabledReason: null,
      consecutiveFailures: 0,
      failingSince: null,
    });
    expect(await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId)).toMatchObject({
      outcome: 'queued',
    });
  });

  it('answering 410 to many tries at once end all of them and are disabled once', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    const ids = [deliveryId];
    for (let each = 0; each < 15; each += 1)
      ids.push(...(await deliveries.ledger.finishJob({ tenantId: deliveries.tenantId })).deliveryIds);
    deliveries.failWith(410);
    const used = deliveries.dependencies();
    await Promise.all(ids.map((id) => deliverWebhook(used, id)));
    expect(used.logged.filter(({ disabled }) => disabled === true)).toHaveLength(1);
    for (const id of ids) expect((await deliveries.delivery(id)).status).toBe('exhausted');
  });

  it('410 from a URL that a job named ends that delivery', async () => {
    const { deliveryId } = await deliveries.toJobUrl();
    deliveries.failWith(410);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'exhausted',
    });
  });

  it('are disabled after five days of nothing but failures, not sooner', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(500);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    await failingFor('4 days 23 hours', endpoint.id, deliveryId);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({ outcome: 'retry' });
    await failingFor('5 days 1 second', endpoint.id, deliveryId);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'exhausted',
    });
    expect(await deliveries.endpoint(endpoint.id)).toMatchObject({
      enabled: false,
      disabledReason: 'every try has failed for too long',
    });
  });

  it('that answer 2xx once begin with a clean record', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    deliveries.failWith(500);
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    await failingFor('5 days 1 second', endpoint.id, deliveryId);
    deliveries.failWith(200);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'delivered',
    });
    expect(await deliveries.endpoint(endpoint.id)).toMatchObject({
      enabled: true,
      consecutiveFailures: 0,
      failingSince: null,
    });
  });

  it('that were deleted or disabled get nothing more', async () => {
    const deleted = await deliveries.toEndpoint();
    await deleteEndpoint(deliveries.ledger.database, deliveries.tenantId, deleted.endpoint.id);
    expect(await deliverWebhook(deliveries.dependencies(), deleted.deliveryId)).toEqual({
      outcome: 'skipped',
    });
    const disabled = await deliveries.toEndpoint();
    await patchEndpoint(deliveries.ledger.database, deliveries.tenantId, disabled.endpoint.id, {
      enabled: false,
    });
    expect(await deliverWebhook(deliveries.dependencies(), disabled.deliveryId)).toEqual({
      outcome: 'skipped',
    });
    for (const { deliveryId } of [deleted, disabled])
      expect((await deliveries.delivery(deliveryId)).status).toBe('cancelled');
    expect(deliveries.receiver.connections()).toBe(0);
  });

  it('whose deletion met the insertion of a delivery get nothing: the claim ends it', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    await deliveries.ledger.database.query('UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1', [
      endpoint.id,
    ]);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toEqual({ outcome: 'skipped' });
    expect((await deliveries.delivery(deliveryId)).status).toBe('cancelled');
    expect(deliveries.receiver.connections()).toBe(0);
  });

  it('whose address changed get what is under way at the new address', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    await patchEndpoint(deliveries.ledger.database, deliveries.tenantId, endpoint.id, {
      url: `http://${deliveries.receiver.host}/moved`,
    });
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(deliveries.receiver.arrivals[0]!.path).toBe('/moved');
  });

  async function failingFor(interval: string, endpointId: string, deliveryId: string): Promise<void> {
    await deliveries.ledger.makeDue(deliveryId);
    await deliveries.ledger.database.query(
      `UPDATE webhook_endpoints SET failing_since = now() - $2::interval WHERE id = $1`,
      [endpointId, interval],
    );
  }
});

describe('a redelivery', () => {
  it('repeats the event under the same webhook-id, with a schedule of its own, and keeps the log', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId)).toEqual({
      outcome: 'queued',
      fence: 2,
    });
    deliveries.failWith(500);
    const used = deliveries.dependencies();
    expect(await deliverWebhook(used, deliveryId)).toEqual({
      outcome: 'retry',
      fence: 3,
      nextDelayMs: 5_000,
    });
    await deliveries.ledger.makeDue(deliveryId);
    deliveries.failWith(200);
    await deliverWebhook(used, deliveryId);
    const ids = deliveries.receiver.arrivals.map(({ headers }) => headers['webhook-id']);
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(1);
    const { tries, status } = await deliveries.delivery(deliveryId);
    expect(status).toBe('delivered');
    expect(tries.map(({ httpStatus }) => httpStatus)).toEqual([204, 500, 200]);
  });

  it('of what is still tried, or of what another tenant has, is refused', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    expect(await redeliver(deliveries.ledger.database, deliveries.tenantId, deliveryId)).toEqual({
      outcome: 'pending',
    });
    await deliverWebhook(deliveries.dependencies(), deliveryId);
    expect(await redeliver(deliveries.ledger.database, 'someone-else', deliveryId)).toEqual({
      outcome: 'unknown',
    });
  });
});
