import { claimDelivery, deleteEndpoint } from '@millrace/ledger';
import { withTimeout } from '@millrace/test-support';
import { describe, expect, it } from 'vitest';
import { deliverWebhook } from './deliver.ts';
import type { Lookup } from './public-lookup.ts';
import { useDeliveries } from './testing/use-deliveries.ts';

const deliveries = useDeliveries();

describe('addresses', () => {
  it.each([
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://2130706433/',
    'http://example.com/',
    'https://a.example:25/',
  ])('a stored %s is not connected to even if it passed the intake once', async (url) => {
    const { deliveryIds } = await deliveries.ledger.finishJob({ tenantId: deliveries.tenantId, url });
    const refuse: Lookup = () => {
      throw new Error('resolved');
    };
    await deliverWebhook(deliveries.dependencies({ lookup: refuse }), deliveryIds[0]!);
    const { tries } = await deliveries.delivery(deliveryIds[0]!);
    expect(tries[0]!.error).toMatch(/^not sent: /);
  });

  it('a host that left the list of allowed hosts is not connected to any more', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    await deliverWebhook(deliveries.dependencies({ settings: { listedHosts: [] } }), deliveryId);
    expect(deliveries.receiver.connections()).toBe(0);
  });

  it('a public name that stands for loopback is not connected to', async () => {
    const { deliveryIds } = await deliveries.ledger.finishJob({
      tenantId: deliveries.tenantId,
      url: 'https://hooks.example/',
    });
    const loopback: Lookup = (_name, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    await deliverWebhook(deliveries.dependencies({ lookup: loopback }), deliveryIds[0]!);
    const { tries } = await deliveries.delivery(deliveryIds[0]!);
    expect(tries[0]!.error).toBe('not sent: the host does not stand for public addresses only');
  });
});

describe('two workers', () => {
  it('that try at once send once', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    const release = deliveries.holdAnswer(200);
    const arrived = deliveries.receiver.nextArrival();
    const workers = Array.from({ length: 8 }, () => deliverWebhook(deliveries.dependencies(), deliveryId));
    // The one that sends cannot end before the others have looked.
    const skipped: unknown[] = [];
    const lookedOn = new Promise<void>((resolve) => {
      for (const worker of workers)
        void worker.then((outcome) => {
          skipped.push(outcome);
          if (skipped.length === 7) resolve();
        });
    });
    await withTimeout(Promise.all([arrived, lookedOn]), 5_000, 'seven workers to pass by');
    expect(skipped).toEqual(Array.from({ length: 7 }, () => ({ outcome: 'skipped' })));
    release();
    const outcomes = await Promise.all(workers);
    expect(outcomes.filter(({ outcome }) => outcome === 'delivered')).toHaveLength(1);
    expect(deliveries.receiver.arrivals).toHaveLength(1);
  });

  it('that hold one after the other: the result of the first is refused', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    const release = deliveries.holdAnswer(500);
    const arrived = deliveries.receiver.nextArrival();
    const slow = deliverWebhook(deliveries.dependencies(), deliveryId);
    await withTimeout(arrived, 5_000, 'the first try');
    await deliveries.ledger.makeDue(deliveryId);
    deliveries.receiver.answerWith((response) => response.writeHead(200).end());
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'delivered',
      fence: 2,
    });
    release();
    expect(await slow).toMatchObject({ outcome: 'stale', nextDelayMs: null });
    const delivery = await deliveries.delivery(deliveryId);
    expect(delivery).toMatchObject({ status: 'delivered', tries: [{ number: 1, httpStatus: 200 }] });
  });

  it('one of which died: the delivery is free when its lease has run out', async () => {
    const { deliveryId } = await deliveries.toEndpoint();
    expect(await claimDelivery(deliveries.ledger.database, deliveryId, 30_000)).toMatchObject({ fence: 1 });
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toEqual({ outcome: 'skipped' });
    await deliveries.ledger.makeDue(deliveryId);
    expect(await deliverWebhook(deliveries.dependencies(), deliveryId)).toMatchObject({
      outcome: 'delivered',
      fence: 2,
    });
  });

  it('and a receiver whose endpoint is deleted in the middle: the try is noted and no other follows', async () => {
    const { endpoint, deliveryId } = await deliveries.toEndpoint();
    const release = deliveries.holdAnswer(500);
    const arrived = deliveries.receiver.nextArrival();
    const slow = deliverWebhook(deliveries.dependencies(), deliveryId);
    await withTimeout(arrived, 5_000, 'the try');
    await deleteEndpoint(deliveries.ledger.database, deliveries.tenantId, endpoint.id);
    release();
    expect(await slow).toMatchObject({ outcome: 'closed', nextDelayMs: null });
    expect(await deliveries.delivery(deliveryId)).toMatchObject({
      status: 'cancelled',
      tries: [{ number: 1, httpStatus: 500 }],
    });
  });
});
