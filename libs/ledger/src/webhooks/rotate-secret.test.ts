import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { testTenant } from '../testing/new-job.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { claimDelivery } from './claim-delivery.ts';
import { createEndpoint } from './create-endpoint.ts';
import { deleteEndpoint } from './delete-endpoint.ts';
import { rotateSecret } from './rotate-secret.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const endpoint = { url: 'https://example.com/', events: ['job.completed'] as const, description: '' };
const make = () => createEndpoint(database, { ...endpoint, tenantId: testTenant });

describe('the secrets of an endpoint', () => {
  it('all sign when it is rotated several times at once, and no rotation drops one', async () => {
    const made = await make();
    const endpointId = made!.endpoint.id;
    const rotations = await Promise.all(
      Array.from({ length: 8 }, () => rotateSecret(database, testTenant, endpointId, 60_000)),
    );
    const given = rotations.flatMap((each) => (each.outcome === 'rotated' ? [each.secret] : []));
    expect(given).toHaveLength(5);
    const refused = rotations.filter((each) => each.outcome === 'too_often');
    expect(refused).toHaveLength(3);
    for (const { retryAfterMs } of refused) {
      expect(retryAfterMs).toBeGreaterThan(50_000);
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
    }
    const { deliveryIds } = await complete(database, await ledger.addJob());
    const claimed = await claimDelivery(database, deliveryIds[0]!, 10_000);
    expect(new Set(claimed!.secrets)).toEqual(new Set([...given, made!.secret]));
  });

  it('are nobody else’s to rotate', async () => {
    const made = await make();
    const unknown = { outcome: 'unknown' };
    expect(await rotateSecret(database, 'stranger', made!.endpoint.id, 60_000)).toEqual(unknown);
    await deleteEndpoint(database, testTenant, made!.endpoint.id);
    expect(await rotateSecret(database, testTenant, made!.endpoint.id, 60_000)).toEqual(unknown);
  });
});
