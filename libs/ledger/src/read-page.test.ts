import { randomBytes } from 'node:crypto';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Queryable } from './database.ts';
import { listJobs } from './jobs/list-jobs.ts';
import { listSteps } from './steps/list-steps.ts';
import { complete, openTestLedger, waitFor } from './testing/open-test-ledger.ts';
import type { TestLedger } from './testing/open-test-ledger.ts';

let own: TestDatabase;
let ledger: TestLedger;
/** The ledger, noting the bytes of the outputs that it sends. */
let watched: Queryable;
let sentBytes: number;
let tenantNumber = 0;
let tenantId: string;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  watched = {
    async query<Row>(text: string, values?: readonly unknown[]) {
      const rows = await ledger.database.query<Row & { output?: unknown }>(text, values);
      for (const { output } of rows) sentBytes += JSON.stringify(output ?? null).length;
      return rows;
    },
  };
});
beforeEach(() => {
  sentBytes = 0;
  tenantId = `tenant-${(tenantNumber += 1)}`;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const MIB = 1024 * 1024;
/** Text that cannot be stored in much less than its length. */
const dense = (bytes: number) => randomBytes(bytes / 2).toString('hex');
/** Text that is stored in a hundredth of its length. */
const thin = (bytes: number) => 'a'.repeat(bytes);

const filter = {
  status: null,
  type: null,
  lane: null,
  metadata: {},
  createdAfter: null,
  createdBefore: null,
};

async function addJobs(outputs: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const output of outputs) {
    const id = await ledger.addJob({ tenantId, id: `job_${tenantId}_${ids.length}` });
    ids.push(id);
    await complete(ledger.database, id, output);
  }
  return ids;
}

/** All pages of a list of jobs, from the newest to the oldest or back. */
async function pagesOf(direction: 'after' | 'before', limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  let cursor: string | null = direction === 'before' ? 'job_' : null;
  for (;;) {
    const cursors = { after: null, before: null, [direction]: cursor };
    const { jobs, hasMore } = await listJobs(watched, { ...filter, tenantId, ...cursors, limit });
    pages.push(jobs.map((job) => job.id));
    cursor = (direction === 'after' ? jobs.at(-1) : jobs[0])?.id ?? null;
    if (!hasMore) return pages;
  }
}

describe('a page', () => {
  it.each([
    ['can hardly be compressed', dense],
    ['are stored in next to nothing', thin],
  ])(
    'ends before outputs of 8 MiB that %s, and what is behind it stays in PostgreSQL',
    async (_name, text) => {
      const ids = await addJobs([3, 3, 3, 9, 1, 1].map((size) => text(size * MIB)));
      const [a, b, c, d, e, f] = ids;
      const { jobs, hasMore } = await listJobs(watched, {
        ...filter,
        tenantId,
        after: null,
        before: null,
        limit: 100,
      });
      expect([jobs.map((job) => job.id), hasMore]).toEqual([[f, e], true]);
      expect(jobs.map((job) => JSON.stringify(job.output).length)).toEqual([MIB + 2, MIB + 2]);
      expect(sentBytes).toBeLessThan(3 * MIB);
      expect(await pagesOf('after', 100)).toEqual([[f, e], [d], [c, b], [a]]);
      expect(await pagesOf('before', 100)).toEqual([[b, a], [c], [d], [f, e]]);
      expect(await pagesOf('after', 1)).toEqual([[f], [e], [d], [c], [b], [a]]);
    },
  );

  it('of small outputs is as long as was asked for, and knows whether it is the last', async () => {
    const ids = (await addJobs(['1', '2', '3', '4'])).toReversed();
    expect(await pagesOf('after', 2)).toEqual([ids.slice(0, 2), ids.slice(2)]);
    expect(await pagesOf('after', 3)).toEqual([ids.slice(0, 3), ids.slice(3)]);
    expect(await pagesOf('after', 4)).toEqual([ids]);
  });

  it('of steps ends before outputs of 8 MiB too', async () => {
    const jobId = await ledger.addJob({ tenantId });
    for (const key of ['a', 'b', 'c', 'd']) await waitFor(ledger.database, jobId, [key]);
    for (const [key, size] of Object.entries({ a: 5, b: 5, c: 2 }))
      await ledger.database.query(
        'UPDATE steps SET output = to_json($3::text) WHERE job_id = $1 AND key = $2',
        [jobId, key, dense(size * MIB)],
      );
    const page = async (after: string | null) => {
      const { steps, hasMore } = await listSteps(watched, { tenantId, jobId, after, limit: 100 });
      return [steps.map((step) => step.key), hasMore];
    };
    expect(await page(null)).toEqual([['a'], true]);
    expect(sentBytes).toBeLessThan(6 * MIB);
    expect(await page('a')).toEqual([['b', 'c', 'd'], false]);
  });

  it('of steps tells a step that is not there from one with nothing behind it', async () => {
    const jobId = await ledger.addJob({ tenantId }, ['a', 'b']);
    const page = (after: string | null) => listSteps(watched, { tenantId, jobId, after, limit: 1 });
    expect(await page('b')).toEqual({ steps: [], hasMore: false, isAfterKnown: true });
    expect(await page('c')).toEqual({ steps: [], hasMore: false, isAfterKnown: false });
    expect(await page(null)).toMatchObject({ steps: [{ key: 'a' }], hasMore: true, isAfterKnown: true });
    expect(Object.keys((await page('a')).steps[0]!).toSorted()).not.toContain('bytes');
  });
});
