import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { cancelJob } from './cancel-job.ts';
import { listJobs } from './list-jobs.ts';
import type { JobFilter } from './list-jobs.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
let ids: string[];
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
  ids = [];
  for (let index = 0; index < 7; index += 1) {
    const id = `job_${index}`;
    ids.push(
      await ledger.addJob({
        id,
        type: index % 2 ? 'chain' : 'call',
        lane: index === 3 ? 'batch' : 'auto',
        metadata: { feature: index < 3 ? 'a' : 'b', n: `${index}` },
      }),
    );
    await database.query('UPDATE jobs SET created_at = to_timestamp($2 / 1000.0) WHERE id = $1', [
      id,
      1_000_000 + index * 1_000,
    ]);
  }
  await complete(database, 'job_1');
  await cancelJob(database, 'acme', 'job_2');
  await ledger.addJob({ tenantId: 'other', id: 'job_4x' });
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const list = async (change: Partial<JobFilter> = {}) => {
  const filter: JobFilter = {
    tenantId: 'acme',
    status: null,
    type: null,
    lane: null,
    metadata: {},
    createdAfter: null,
    createdBefore: null,
    after: null,
    before: null,
    limit: 100,
    ...change,
  };
  const { jobs, hasMore } = await listJobs(database, filter);
  return `${jobs.map((job) => job.id.slice(4)).join('')}${hasMore ? '+' : ''}`;
};

describe('a list of jobs', () => {
  it('shows the tenant’s own, newest first, page by page in both directions', async () => {
    expect(await list()).toBe('6543210');
    expect(await list({ limit: 3 })).toBe('654+');
    expect(await list({ limit: 3, after: 'job_4' })).toBe('321+');
    expect(await list({ limit: 3, after: 'job_1' })).toBe('0');
    expect(await list({ limit: 7 })).toBe('6543210');
    expect(await list({ limit: 3, before: 'job_1' })).toBe('432+');
    expect(await list({ limit: 3, before: 'job_4' })).toBe('65');
    expect(await list({ tenantId: 'nobody' })).toBe('');
  });

  it('is filtered by any mixture of what a job is', async () => {
    expect(await list({ status: 'queued' })).toBe('65430');
    expect(await list({ status: 'cancelled' })).toBe('2');
    expect(await list({ type: 'chain' })).toBe('531');
    expect(await list({ lane: 'batch' })).toBe('3');
    expect(await list({ metadata: { feature: 'b' } })).toBe('6543');
    expect(await list({ metadata: { feature: 'b', n: '5' } })).toBe('5');
    expect(await list({ metadata: { feature: 'a', n: '5' } })).toBe('');
    expect(await list({ createdAfter: 1_002_000 })).toBe('6543');
    expect(await list({ createdAfter: 1_002_000, createdBefore: 1_005_000 })).toBe('43');
    expect(
      await list({ type: 'chain', metadata: { feature: 'b' }, status: 'queued', createdBefore: 1_005_000 }),
    ).toBe('3');
    expect(await list({ type: 'call', after: 'job_6', limit: 2 })).toBe('42+');
    expect(await list({ type: 'call', before: 'job_0', limit: 2, status: 'queued' })).toBe('64');
  });

  it('of the batch lane has what was placed there, and what was asked for and is not placed yet', async () => {
    const placement = { lane: 'batch' as const, reason: 'deadline_allows', escapeAt: null, shape: null };
    const steps = (key: string) => [{ key, target: 'openai/gpt-6-luna', placement }];
    await ledger.addJob({ tenantId: 'rider', id: 'job_a', lane: 'auto' }, steps('call'));
    await ledger.addJob({ tenantId: 'rider', id: 'job_b', lane: 'auto' }, [
      { key: 'call', target: 'openai/gpt-6-luna' },
    ]);
    await ledger.addJob({ tenantId: 'rider', id: 'job_c', lane: 'batch' });
    const inBatch = { tenantId: 'rider', lane: 'batch' };
    expect(await list(inBatch)).toBe('ca');
    expect(await list({ ...inBatch, limit: 1 })).toBe('c+');
    expect(await list({ ...inBatch, before: 'job_a' })).toBe('c');
    expect(await list({ tenantId: 'rider', lane: 'auto' })).toBe('ba');
    // Where it goes later changes nothing.
    await database.query(
      "UPDATE steps SET status = 'pending', lane = 'realtime', wake_at = now() WHERE job_id = 'job_a'",
    );
    expect(await list(inBatch)).toBe('ca');
  });

  it('takes text of the client as text', async () => {
    expect(await list({ metadata: { "'; DROP TABLE jobs --": '"' } })).toBe('');
    expect(await list({ type: "' OR true --" })).toBe('');
    expect(await list({ after: "' OR true --" })).toBe('');
  });
});
