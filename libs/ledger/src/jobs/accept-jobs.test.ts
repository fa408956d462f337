import { createId } from '@millrace/contracts';
import { createTestDatabase, spawnApp } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerUnavailable, openDatabase } from '../database.ts';
import type { Database } from '../database.ts';
import { gather } from '../gather.ts';
import { countDeadlocks } from '../testing/count-deadlocks.ts';
import { fingerprint, newJob } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { testOptions } from '../testing/test-options.ts';
import { acceptJobs } from './accept-jobs.ts';
import type { AcceptResult, NewJob } from './accept-jobs.ts';

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

const jobsWithKey = (key: string) =>
  database.query<{ id: string }>('SELECT id FROM jobs WHERE idempotency_key = $1', [key]);

describe('a new job', () => {
  it('is committed with its first event and a time by which somebody looks at it', async () => {
    const job = newJob({ deadlineAt: Date.now() + 2_000, maxCostMicroUsd: 7, metadata: { a: 'b' } });
    const [result] = await acceptJobs(database, [job]);
    expect(result).toEqual({ outcome: 'accepted', jobId: job.id, createdAt: expect.any(Number) as number });
    expect(Math.abs(Date.now() - result!.createdAt!)).toBeLessThan(2_000);
    const row = await ledger.job(job.id);
    expect(row).toMatchObject({
      status: 'queued',
      metadata: { a: 'b' },
      max_cost_micro_usd: 7,
      last_sequence: 1,
    });
    expect(row['wake_at']).toBe(row['deadline_at']);
    const events = await database.query('SELECT sequence, type FROM job_events WHERE job_id = $1', [job.id]);
    expect(events).toEqual([{ sequence: 1, type: 'job.queued' }]);
  });

  it('keeps content that PostgreSQL cannot have in text or jsonb, key order included', async () => {
    const input = { z: 'nul \u0000', a: 'half \ud800 pair', 'k\u0000': ['\udc00'], zz: '"\\u0000' };
    const job = newJob({ content: { plan: {}, input, params: {} } });
    await acceptJobs(database, [job]);
    const { content } = await ledger.job(job.id);
    expect(content).toEqual({ plan: {}, input, params: {} });
    expect(Object.keys((content as { input: object }).input)).toEqual(Object.keys(input));
  });

  it('keeps 8 MB of content', async () => {
    const input = 'ü"\n'.repeat(2_000_000);
    const job = newJob({ content: { plan: {}, input, params: {} } });
    expect(await acceptJobs(database, [job])).toMatchObject([{ outcome: 'accepted' }]);
    const [row] = await database.query<{ same: boolean }>(
      `SELECT content->>'input' = repeat(E'ü"\n', 2000000) AS same FROM jobs WHERE id = $1`,
      [job.id],
    );
    expect(row).toEqual({ same: true });
  });
});

describe('an idempotency key', () => {
  it('makes one job of 120 parallel requests over several pools and processes', async () => {
    const key = 'sent many times';
    const pools = [1, 2, 3].map(() => openDatabase(testOptions(own.url, { maxConnections: 4 })));
    const apps = await Promise.all(
      [1, 2].map(() =>
        spawnApp({
          app: 'libs/ledger/src/testing/accept-duplicates.ts',
          environment: {},
          arguments: [own.url, key, '30'],
        }),
      ),
    );
    const here = await Promise.all(
      pools.flatMap((pool) =>
        Array.from({ length: 20 }, () => acceptJobs(pool, [newJob({ idempotencyKey: key })])),
      ),
    );
    const there = await Promise.all(apps.map((app) => app.waitForLine(/^\[/)));
    await Promise.all([...pools.map((pool) => pool.close()), ...apps.map((app) => app.exited)]);

    const answers = [...here.flat(), ...there.flatMap((line) => JSON.parse(line) as AcceptResult[])];
    const jobs = await jobsWithKey(key);
    expect(jobs).toHaveLength(1);
    expect(answers).toHaveLength(120);
    expect(new Set(answers.map((answer) => answer.jobId))).toEqual(new Set([jobs[0]!.id]));
    expect(answers.filter((answer) => answer.outcome === 'accepted')).toHaveLength(1);
    expect(answers.filter((answer) => answer.outcome === 'replayed')).toHaveLength(119);
  });

  it('that comes with another body is told apart', async () => {
    const first = newJob();
    const { idempotencyKey } = first;
    await acceptJobs(database, [first]);
    const results = await acceptJobs(database, [
      newJob({ idempotencyKey, fingerprint: fingerprint('another body') }),
      newJob({ idempotencyKey }),
      newJob({ idempotencyKey, tenantId: 'another-tenant', fingerprint: fingerprint('another body') }),
    ]);
    expect(results.map((each) => [each.outcome, each.jobId === first.id])).toEqual([
      ['reused', true],
      ['replayed', true],
      ['accepted', false],
    ]);
  });

  it('may come several times in one batch: the first request is the job', async () => {
    for (let round = 0; round < 5; round += 1) {
      const idempotencyKey = `doubles ${round}`;
      const batch = [
        newJob(),
        newJob({ idempotencyKey }),
        newJob(),
        newJob({ idempotencyKey }),
        newJob({ idempotencyKey, fingerprint: fingerprint('another body') }),
      ];
      const results = await acceptJobs(database, batch);
      expect(results.map((each) => each.outcome)).toEqual([
        'accepted',
        'accepted',
        'accepted',
        'replayed',
        'reused',
      ]);
      expect(results.slice(3).map((each) => each.jobId)).toEqual([batch[1]!.id, batch[1]!.id]);
    }
  });

  it('that is null never collides', async () => {
    const batch = [newJob({ idempotencyKey: null }), newJob({ idempotencyKey: null })];
    const results = [
      ...(await acceptJobs(database, batch)),
      ...(await acceptJobs(database, [newJob({ idempotencyKey: null })])),
    ];
    expect(results.map((each) => each.outcome)).toEqual(['accepted', 'accepted', 'accepted']);
  });

  it('answers `accepted` to a job that was committed although nobody heard of it', async () => {
    for (const idempotencyKey of ['unheard', null]) {
      const job = newJob({ idempotencyKey });
      const [first] = await acceptJobs(database, [job]);
      expect(await acceptJobs(database, [newJob(), job])).toEqual([expect.anything(), first]);
    }
  });

  it('whose job was pruned meanwhile counts as in progress: the client tries again', async () => {
    const job = newJob();
    await acceptJobs(database, [job]);
    const pruned: Database = {
      ...database,
      async query<Row>(text: string, values?: readonly unknown[]) {
        if (!text.includes('INSERT')) await database.query('DELETE FROM jobs WHERE id = $1', [job.id]);
        return database.query<Row>(text, values);
      },
    };
    const again = newJob({ idempotencyKey: job.idempotencyKey });
    expect(await acceptJobs(pruned, [again])).toMatchObject([{ outcome: 'in_progress' }]);
    expect(await acceptJobs(database, [again])).toMatchObject([{ outcome: 'accepted' }]);
  });

  it('that cannot be looked up does not take the new jobs of its batch with it', async () => {
    const known = newJob();
    await acceptJobs(database, [known]);
    const breaking: Database = {
      ...database,
      async query<Row>(text: string, values?: readonly unknown[]) {
        if (!text.includes('INSERT')) throw new LedgerUnavailable('gone between two statements');
        return database.query<Row>(text, values);
      },
    };
    const results = await acceptJobs(breaking, [newJob(), newJob({ idempotencyKey: known.idempotencyKey })]);
    expect(results.map((each) => each.outcome)).toEqual(['accepted', 'in_progress']);
  });
});

describe('batches that meet', () => {
  it('never deadlock, whatever the order of their keys', async () => {
    const deadlocks = await countDeadlocks(own.url, async (workload) => {
      for (let round = 0; round < 6; round += 1) {
        const keys = Array.from({ length: 400 }, (_, index) => `meeting ${round} ${index}`);
        const batch = (order: string[]) =>
          acceptJobs(
            workload,
            order.map((idempotencyKey) => newJob({ idempotencyKey })),
          );
        const results = await Promise.all(
          [keys, keys.toReversed(), keys.toSorted(), keys.toSorted().reverse()].map(batch),
        );
        expect(results.flat().filter((each) => each.outcome === 'accepted')).toHaveLength(keys.length);
      }
    });
    expect(deadlocks).toBe(0);
  });

  it('wait a moment for a key that another transaction is committing, and only its own request answers `in_progress`', async () => {
    const keys = [newJob(), newJob(), newJob()];
    const stuck = keys[0]!;
    const release = Promise.withResolvers<undefined>();
    const inserted = Promise.withResolvers<undefined>();
    const other = database.transaction(async (transaction) => {
      for (const { tenantId, idempotencyKey } of keys) {
        await transaction.query(
          `INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, priority, lane, request_id)
           VALUES ($1, $2, '', $3, '', 'call', 'standard', 'auto', '')`,
          [createId('job'), tenantId, idempotencyKey],
        );
      }
      inserted.resolve(undefined);
      await release.promise;
      throw new Error('rolled back');
    });
    await inserted.promise;
    const took: number[] = [];
    for (const key of keys) {
      const startedAt = performance.now();
      const results = await acceptJobs(database, [newJob(), key, newJob()]);
      expect(results.map((each) => each.outcome)).toEqual(['accepted', 'in_progress', 'accepted']);
      took.push(performance.now() - startedAt);
    }
    // In the other two this process or PostgreSQL may have had no time.
    expect(Math.min(...took)).toBeLessThan(1_400);

    const waiting = acceptJobs(database, [stuck]);
    release.resolve(undefined);
    await expect(other).rejects.toThrow('rolled back');
    expect(await waiting).toMatchObject([{ outcome: 'accepted' }]);
  });

  it('that hold one job which PostgreSQL refuses lose that one only', async () => {
    const accept = gather((jobs: readonly NewJob[]) => acceptJobs(database, jobs), {
      maxItems: 100,
      concurrency: 2,
      retryAlone: (error) => !(error instanceof LedgerUnavailable),
    });
    const batch = Array.from({ length: 20 }, (_, index) =>
      newJob(index === 7 ? { metadata: { bad: '\u0000' } } : {}),
    );
    const results = await Promise.allSettled(batch.map(accept));
    expect(results.map((each) => each.status === 'fulfilled')).toEqual(batch.map((_, index) => index !== 7));
    const [row] = await database.query<{ count: number }>(
      'SELECT count(*)::int FROM jobs WHERE id = ANY ($1)',
      [batch.map((job) => job.id)],
    );
    expect(row!.count).toBe(19);
  });
});
