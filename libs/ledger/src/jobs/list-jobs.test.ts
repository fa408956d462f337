import { createId } from '@millrace/contracts';
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

const createdAt = (n: number) => 1_000_000 + n * 1_000;
/** The id of the n-th job, made when the job was, as real ids are. */
const idOf = (n: number) => createId('job', createdAt(n), new Uint8Array(10).fill(n));
const nameOf = (id: string) => {
  const n = [0, 1, 2, 3, 4, 5, 6].findIndex((each) => idOf(each) === id);
  return n === -1 ? id.slice(4) : `${n}`;
};
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
  for (let index = 0; index < 7; index += 1) {
    const id = await ledger.addJob({
      id: idOf(index),
      type: index % 2 ? 'chain' : 'call',
      lane: index === 3 ? 'batch' : 'auto',
      metadata: { feature: index < 3 ? 'a' : 'b', n: `${index}` },
    });
    // PostgreSQL keeps microseconds.
    await database.query('UPDATE jobs SET created_at = to_timestamp($2::float8 / 1000) WHERE id = $1', [
      id,
      createdAt(index) + 0.5,
    ]);
  }
  await complete(database, idOf(1));
  await cancelJob(database, 'acme', idOf(2));
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
  return `${jobs.map((job) => nameOf(job.id)).join('')}${hasMore ? '+' : ''}`;
};

describe('a list of jobs', () => {
  it('shows the tenant’s own, newest first, page by page in both directions', async () => {
    expect(await list()).toBe('6543210');
    expect(await list({ limit: 3 })).toBe('654+');
    expect(await list({ limit: 3, after: idOf(4) })).toBe('321+');
    expect(await list({ limit: 3, after: idOf(1) })).toBe('0');
    expect(await list({ limit: 7 })).toBe('6543210');
    expect(await list({ limit: 3, before: idOf(1) })).toBe('432+');
    expect(await list({ limit: 3, before: idOf(4) })).toBe('65');
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
    expect(await list({ type: 'call', after: idOf(6), limit: 2 })).toBe('42+');
    expect(await list({ type: 'call', before: idOf(0), limit: 2, status: 'queued' })).toBe('64');
  });

  it('of a time goes on behind an instant that a job was shown with, and has jobs whose ids are older than they', async () => {
    expect(await list({ createdAfter: createdAt(4) })).toBe('65');
    expect(await list({ createdBefore: createdAt(4) })).toBe('3210');
    const late = { tenantId: 'late', id: createId('job', 1_000_000) };
    await ledger.addJob(late);
    await database.query('UPDATE jobs SET created_at = to_timestamp(4500) WHERE id = $1', [late.id]);
    const found = async (change: Partial<JobFilter>) => (await list({ tenantId: 'late', ...change })) !== '';
    expect(await found({ createdAfter: 4_499_000 })).toBe(true);
    expect(await found({ createdBefore: 4_501_000 })).toBe(true);
    expect(await found({ createdAfter: 4_500_000 })).toBe(false);
    expect(await found({ createdAfter: -62_135_596_800_000, createdBefore: 253_402_300_799_999 })).toBe(true);
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
