import { createId } from '@millrace/contracts';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database, Queryable } from '../database.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { createEndpoint, MOST_ENDPOINTS } from './create-endpoint.ts';
import { deleteEndpoint } from './delete-endpoint.ts';
import { insertDeliveries } from './insert-deliveries.ts';

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
const make = (tenantId: string) => createEndpoint(database, { ...endpoint, tenantId });

const addMany = (tenantId: string, count: number, events: readonly string[]): Promise<unknown> =>
  database.query(
    `INSERT INTO webhook_endpoints (id, tenant_id, url, events, secret)
     SELECT 'whk_' || $1 || n, $1, 'https://example.com/', $3::text[], '' FROM generate_series(1, $2::int) n`,
    [tenantId, count, events],
  );

describe('the endpoints of a tenant', () => {
  it('are as many as it may have, also when the last are made at the same time', async () => {
    await addMany('crowd', MOST_ENDPOINTS - 2, endpoint.events);
    const made = await Promise.all(Array.from({ length: 8 }, () => make('crowd')));
    const kept = made.filter((each) => each !== null);
    expect(kept).toHaveLength(2);
    expect(await make('neighbour')).not.toBeNull();
    await deleteEndpoint(database, 'crowd', kept[0]!.endpoint.id);
    expect(await make('crowd')).not.toBeNull();
    expect(await make('crowd')).toBeNull();
  });

  it('are read by the end of a job only where they want it', async () => {
    await addMany(testTenant, 20, ['job.failed']);
    const wanting = await make(testTenant);
    const jobId = await ledger.addJob();
    const read: number[] = [];
    await database.transaction(async (transaction) => {
      const counting: Queryable = {
        query: async <Row>(text: string, values: readonly unknown[] = []) => {
          const rows = await transaction.query<Row>(text, values);
          read.push(rows.length);
          return rows;
        },
      };
      const event = { tenantId: testTenant, jobId, eventId: createId('event'), webhook: null };
      const ids = await insertDeliveries(counting, [{ ...event, eventType: 'job.completed' }]);
      expect(ids).toEqual([[expect.stringMatching(/^dlv_/)]]);
    });
    expect(read).toEqual([1, 0]);
    await deleteEndpoint(database, testTenant, wanting!.endpoint.id);
  });
});
