import { createId } from '@millrace/contracts';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Queryable } from './database.ts';
import { listJobs } from './jobs/list-jobs.ts';
import { openTestLedger } from './testing/open-test-ledger.ts';
import type { TestLedger } from './testing/open-test-ledger.ts';
import { listDeliveries } from './webhooks/list-deliveries.ts';
import type { DeliveryFilter } from './webhooks/list-deliveries.ts';

const ROWS = 5_000;
const DAY_MS = 86_400_000;
const FIRST_AT = Date.now() - 30 * DAY_MS;
/** When the n-th job was made: one every nine minutes. */
const createdAt = (n: number) => FIRST_AT + (n * 30 * DAY_MS) / ROWS;

const JOBS = `
INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, status, priority, lane, request_id, created_at, finished_at)
SELECT id, 'acme', 'k', id, '', 'call', CASE WHEN n IN (7, 9) THEN 'requires_action' ELSE 'completed' END, 'standard', 'auto', 'r',
  to_timestamp(at / 1000), CASE WHEN n NOT IN (7, 9) THEN to_timestamp(at / 1000) END
FROM json_to_recordset($1) AS j (n int, id text, at float8)`;

/** Of two endpoints, one of which is seldom called; what was not delivered is long past. */
const DELIVERIES = `
INSERT INTO webhook_deliveries (id, tenant_id, job_id, event_id, event_type, endpoint_id, url, status, wake_at)
SELECT 'dlv_' || id, 'acme', id, 'e', 'job.completed', CASE WHEN n IN (5, 6) THEN 'whk_rare' ELSE 'whk_usual' END, 'u',
  CASE n WHEN 3 THEN 'exhausted' WHEN 4 THEN 'cancelled' WHEN 5 THEN 'pending' ELSE 'delivered' END, NULL
FROM json_to_recordset($1) AS j (n int, id text)`;

let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  const { database } = ledger;
  const rows = Array.from({ length: ROWS }, (_, n) => ({
    n,
    id: createId('job', Math.floor(createdAt(n))),
    at: createdAt(n),
  }));
  await database.query(JOBS, [JSON.stringify(rows)]);
  await database.query(DELIVERIES, [JSON.stringify(rows)]);
  for (const table of ['jobs', 'webhook_deliveries']) await database.query(`VACUUM ANALYZE ${table}`);
}, 60_000);
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

interface Plan {
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** How many rows of tables a statement looked at. */
function lookedAt(plan: Plan): number {
  const own = (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops'];
  const below = (plan.Plans ?? []).reduce((sum, each) => sum + lookedAt(each), 0);
  return below + (plan['Relation Name'] === undefined ? 0 : own);
}

/**
 * Runs `work`, and answers how many rows its statements looked at: with a plan for the values at hand, and with `generic` as a
 * connection may run them after some executions, by one plan for all values.
 */
async function measure(
  work: (database: Queryable) => Promise<unknown>,
  plans: 'own' | 'generic' = 'own',
): Promise<number> {
  let rows = 0;
  await work({
    async query<Row>(text: string, values: readonly unknown[] = []) {
      rows += lookedAt(await explain(text, values, plans));
      return ledger.database.query<Row>(text, values);
    },
  });
  return rows;
}

async function explain(text: string, values: readonly unknown[], plans: 'own' | 'generic'): Promise<Plan> {
  return ledger.database.transaction(async (transaction) => {
    const mode = plans === 'own' ? 'force_custom_plan' : 'force_generic_plan';
    await transaction.query(`SET LOCAL plan_cache_mode = ${mode}`);
    await transaction.query(`PREPARE explained AS ${text}`);
    const [row] = await transaction.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained (${values.map(literal).join(', ')})`,
    );
    await transaction.query('DEALLOCATE explained');
    return row!['QUERY PLAN'][0].Plan;
  });
}

function literal(value: unknown): string {
  if (value === null || typeof value === 'number') return String(value);
  const text = Array.isArray(value) ? `{${value.join(',')}}` : z.string().parse(value);
  return `'${text.replaceAll("'", "''")}'`;
}

const usual = { tenantId: 'acme', status: null, after: null, before: null, limit: 20 };

describe('a list reads little of what is kept', () => {
  const jobs = { ...usual, type: null, lane: null, metadata: {}, createdAfter: null, createdBefore: null };

  it('when it is of held jobs', async () => {
    const list = async (database: Queryable) => {
      const found = await listJobs(database, { ...jobs, status: 'requires_action' });
      expect(found.jobs).toHaveLength(2);
    };
    expect(await measure(list)).toBeLessThan(20);
    expect(await measure(list, 'generic')).toBeLessThan(20);
  });

  it('when it is of the jobs since an instant, or before one', async () => {
    const lately = await measure(async (database) => {
      const found = await listJobs(database, { ...jobs, createdAfter: createdAt(ROWS - 6) });
      expect(found.jobs).toHaveLength(5);
    });
    expect(lately).toBeLessThan(50);
    const longAgo = await measure(async (database) => {
      const found = await listJobs(database, { ...jobs, createdBefore: createdAt(5) });
      expect(found.jobs).toHaveLength(5);
    });
    expect(longAgo).toBeLessThan(50);
  });

  it.each<[string, Partial<DeliveryFilter>, number]>([
    ['exhausted deliveries', { status: 'exhausted' }, 1],
    ['cancelled deliveries, backwards', { status: 'cancelled', before: 'dlv_' }, 1],
    ['pending deliveries', { status: 'pending' }, 1],
    ['deliveries to an endpoint that is seldom called', { endpointId: 'whk_rare' }, 2],
    ['what one endpoint was sent', { endpointId: 'whk_rare', status: 'delivered' }, 1],
    ['what is pending for one endpoint', { endpointId: 'whk_rare', status: 'pending' }, 1],
  ])('when it is of %s', async (_name, filter, count) => {
    const list = async (database: Queryable) => {
      const found = await listDeliveries(database, { ...usual, jobId: null, endpointId: null, ...filter });
      expect(found.deliveries).toHaveLength(count);
    };
    expect(await measure(list)).toBeLessThan(20);
    expect(await measure(list, 'generic')).toBeLessThan(20);
  });
});
