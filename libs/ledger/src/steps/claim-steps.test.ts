import { createTestDatabase, quickestMs, waitFor } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { cancelJob } from '../jobs/cancel-job.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { attemptEnd, completed, held, outcome, pending } from '../testing/outcomes.ts';
import { updateTenant } from '../tenants/tenants.ts';
import { claimSteps } from './claim-steps.ts';
import { recordOutcomes } from './record-outcomes.ts';
import { renewClaims } from './renew-claims.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, { maxConnections: 20 });
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const keys = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`);
const claim = (jobId: string, wanted: readonly string[], owner = 'b') =>
  claimSteps(
    database,
    wanted.map((key) => ({ jobId, key })),
    owner,
    10_000,
  );

/** Locks a job's steps in PostgreSQL until another waits for them, or for five seconds; this process has no part in the end. */
const lockUntilSomebodyWaits = (jobId: string) =>
  database.query(`DO $$ BEGIN
    UPDATE steps SET wake_count = wake_count + 1 WHERE job_id = '${jobId}';
    WHILE clock_timestamp() < now() + interval '5 seconds' AND NOT EXISTS (
      SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
    ) LOOP
      PERFORM pg_sleep(0.01);
    END LOOP;
    PERFORM pg_sleep(0.05);
  END $$`);

describe('a claim', () => {
  it('gives each step to one of many claimers, with its fence', async () => {
    const jobId = await ledger.addJob({}, keys(30));
    const shuffled = (seed: number) =>
      keys(30).toSorted((a, b) => ((a.charCodeAt(1) * seed) % 7) - ((b.charCodeAt(1) * seed) % 7));
    const claimed = await Promise.all(
      Array.from({ length: 12 }, (_, index) => claim(jobId, shuffled(index + 1), `worker ${index}`)),
    );
    expect(
      claimed
        .flat()
        .map((step) => step.key)
        .toSorted(),
    ).toEqual(keys(30).toSorted());
    expect(claimed.flat().every((step) => step.fence === 1)).toBe(true);
  });

  it('brings all that a worker needs to run the step', async () => {
    const deadlineAt = Date.now() + 3_600_000;
    const jobId = await ledger.addJob(
      { deadlineAt, maxCostMicroUsd: 9, priority: 'background', traceparent: 'tp', requestId: 'r' },
      [{ key: 's', target: 'a/b', pool: 'a' }],
    );
    expect((await claim(jobId, ['s']))[0]).toMatchObject({
      jobId,
      key: 's',
      tenantId: testTenant,
      fence: 1,
      priority: 'background',
      target: 'a/b',
      pool: 'a',
      requestId: 'r',
      traceparent: 'tp',
      attempts: 0,
      targetAttempts: 0,
      deaths: 0,
      repairs: 0,
      repair: null,
      lostAnswer: false,
      ambiguousPolicy: 'retry',
      deadlineAt,
      maxCostMicroUsd: 9,
      request: { kind: 'call', model: 'openai/any' },
    });
  });

  it('of what does not exist, is held, has ended or must wait is left out', async () => {
    const jobId = await ledger.addJob({}, ['done', 'held', 'later', 'free']);
    const [done, on, later] = await ledger.claim(jobId, ['done', 'held', 'later']);
    await recordOutcomes(database, [
      outcome(done!, completed()),
      outcome(on!, held()),
      outcome(later!, pending({ delayMs: 5_000 })),
    ]);
    const claimed = await claim(jobId, ['done', 'held', 'later', 'free', 'unknown']);
    expect(claimed.map((step) => step.key)).toEqual(['free']);
  });

  it('of a job that has ended is refused', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await cancelJob(database, testTenant, jobId);
    expect(await claim(jobId, ['s'])).toEqual([]);
  });

  it('that names a step twice gets it once', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    expect(await claim(jobId, ['s', 's', 's'])).toHaveLength(1);
    expect(await ledger.step(jobId, 's')).toMatchObject({ fence: 1 });
  });

  it('waits out those who lock a step for a moment: its wake would be lost otherwise', async () => {
    const claimedOfLocked = async (): Promise<number> => {
      const jobId = await ledger.addJob({}, keys(3));
      const momentary = lockUntilSomebodyWaits(jobId);
      const free = 'SELECT FROM steps WHERE job_id = $1 FOR UPDATE SKIP LOCKED';
      await waitFor(async () => (await database.query(free, [jobId])).length === 0, { what: 'the lock' });
      const claimed = await claim(jobId, keys(3));
      await momentary;
      return claimed.length;
    };
    // The one who locks may stand still for longer than a claim waits, but hardly three times.
    let most = 0;
    for (let round = 0; round < 3 && most < 3; round += 1) most = Math.max(most, await claimedOfLocked());
    expect(most).toBe(3);
  });

  it('does not wait for a process that stands still in the middle of its transaction', async () => {
    const tookMs = async (): Promise<number> => {
      const jobId = await ledger.addJob({}, keys(3));
      const locked = Promise.withResolvers<undefined>();
      const release = Promise.withResolvers<undefined>();
      const frozen = database.transaction(async (transaction) => {
        await transaction.query("UPDATE steps SET wake_count = 1 WHERE job_id = $1 AND key = 's1'", [jobId]);
        locked.resolve(undefined);
        await release.promise;
      });
      await locked.promise;
      const startedAt = performance.now();
      expect((await claim(jobId, keys(3))).map((step) => step.key).toSorted()).toEqual(['s0', 's2']);
      const took = performance.now() - startedAt;
      release.resolve(undefined);
      await frozen;
      return took;
    };
    expect(await quickestMs(1_000, tookMs)).toBeLessThan(1_000);
  });
});

describe('a claim of steps among which one cannot be read', () => {
  const damaged = async (key: string, request: string, repair: string | null = null): Promise<string> => {
    const jobId = await ledger.addJob({}, ['before', key, 'later']);
    await database.query('UPDATE steps SET request = $3, repair = $4 WHERE job_id = $1 AND key = $2', [
      jobId,
      key,
      request,
      repair,
    ]);
    return jobId;
  };
  const request = {
    ...{ kind: 'call', route: null, model: 'openai/any', system: null, output: null, maxOutputTokens: 1 },
    ...{ messages: [{ role: 'user', content: 'p' }], stream: false },
  };

  it.each([
    ['whose request does not fit', { ...request, messages: [] }, null, 'request.messages'],
    ['whose repair does not fit', request, { answer: 'a' }, 'repair.feedback'],
  ])('brings all of them, and says which one it is: %s', async (_, asked, repair, place) => {
    const jobId = await damaged('broken', JSON.stringify(asked), repair && JSON.stringify(repair));
    const claimed = await claim(jobId, ['before', 'broken', 'later']);
    expect(claimed.map((step) => step.key).toSorted()).toEqual(['before', 'broken', 'later']);
    const faulty = claimed.filter((step) => step.unreadable);
    expect(faulty).toMatchObject([{ key: 'broken', fence: 1, unreadable: { isNewer: false } }]);
    expect(faulty[0]!.unreadable!.places).toContain(place);
  });

  it.each([
    ['a field', { ...request, tools: [] }, 'request.tools'],
    [
      'a field inside',
      { ...request, messages: [{ role: 'user', content: 'p', image: 'i' }] },
      'request.messages.0.image',
    ],
    ['a field, and one that changed', { ...request, messages: null, parts: [] }, 'request.parts'],
  ])('knows what a newer version wrote, which has %s more', async (_, asked, place) => {
    const jobId = await damaged('newer', JSON.stringify(asked));
    const claimed = await claim(jobId, ['before', 'newer', 'later']);
    expect(claimed).toHaveLength(3);
    const newer = claimed.find((step) => step.key === 'newer');
    expect(newer).toMatchObject({ unreadable: { isNewer: true, places: [place] } });
  });
});

describe('a claim whose answer got lost', () => {
  const again = (jobId: string, owner: string) =>
    claimSteps(database, [{ jobId, key: 's', again: true }], owner, 10_000);

  it('is given once more to its owner, which has not died, and the first one counts for nothing', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const [first] = await claim(jobId, ['s'], 'own');
    expect(await claim(jobId, ['s'], 'own')).toEqual([]);
    const [second] = await again(jobId, 'own');
    expect(second).toMatchObject({ fence: 2, deaths: 0, lostAnswer: false });
    const accepted = async (step: typeof first) =>
      (await recordOutcomes(database, [outcome(step!, completed())]))[0]!.accepted;
    expect(await accepted(first)).toBe(false);
    expect(await accepted(second)).toBe(true);
  });

  it('is not given to another worker, nor once its call was sent', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await claim(jobId, ['s'], 'own');
    expect(await again(jobId, 'other')).toEqual([]);
    const sent = await ledger.addJob({}, ['s']);
    await ledger.send(sent, 's');
    expect(await again(sent, 'a worker')).toEqual([]);
  });
});

describe('a lease that has run out', () => {
  it('gives the step to the next claimer with a higher fence, and counts a death', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await claim(jobId, ['s'], 'first');
    await ledger.passTime(9_000);
    expect(await claim(jobId, ['s'], 'second')).toEqual([]);
    await ledger.passTime(1_500);
    expect(await claim(jobId, ['s'], 'second')).toMatchObject([{ fence: 2, deaths: 1, lostAnswer: false }]);
    expect(await ledger.step(jobId, 's')).toMatchObject({
      owner: 'second',
      status: 'claimed',
      ambiguous: false,
    });
  });

  it('goes to one claimer only, however many come', async () => {
    const jobId = await ledger.addJob({}, keys(20));
    await Promise.all(
      keys(20).map((key, index) => (index % 2 ? ledger.send(jobId, key) : ledger.claim(jobId, [key]))),
    );
    await ledger.passTime(20_000);
    const claimed = (
      await Promise.all([1, 2, 3, 4, 5, 6].map((each) => claim(jobId, keys(20), `worker ${each}`)))
    ).flat();
    expect(claimed.map((step) => step.key).toSorted()).toEqual(keys(20).toSorted());
    expect(claimed.every((step) => step.fence === 2)).toBe(true);
    expect(claimed.filter((step) => step.lostAnswer)).toHaveLength(10);
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 10 });
  });

  it('after the call was sent tells that its answer is lost, and marks and counts it', async () => {
    await updateTenant(database, testTenant, { ambiguousPolicy: 'hold' });
    const jobId = await ledger.addJob({}, ['s']);
    const { step } = await ledger.send(jobId, 's');
    await recordOutcomes(database, [outcome(step, pending(), attemptEnd(1, { status: 'failed' }))]);
    await ledger.send(jobId, 's');
    await ledger.passTime(20_000);
    expect(await claim(jobId, ['s'])).toMatchObject([
      { lostAnswer: true, ambiguousPolicy: 'hold', fence: 3, deaths: 1 },
    ]);
    await updateTenant(database, testTenant, { ambiguousPolicy: 'retry' });
    expect(await ledger.step(jobId, 's')).toMatchObject({ ambiguous: true, ambiguous_calls: 1 });
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 1 });
    const rows = await database.query<{ status: string }>(
      'SELECT status FROM attempts WHERE job_id = $1 ORDER BY number',
      [jobId],
    );
    expect(rows.map((row) => row.status)).toEqual(['failed', 'ambiguous']);
  });

  it('is not lost while its holder renews it', async () => {
    const jobId = await ledger.addJob({}, ['s', 't']);
    const steps = await ledger.claim(jobId, ['s', 't']);
    for (let round = 0; round < 3; round += 1) {
      await ledger.passTime(8_000);
      expect(await renewClaims(database, steps, 10_000)).toEqual([]);
    }
    expect(await claim(jobId, ['s', 't'])).toEqual([]);
  });

  it('may still be renewed as long as nobody has taken the step over', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const steps = await ledger.claim(jobId, ['s']);
    await ledger.passTime(20_000);
    expect(await renewClaims(database, steps, 10_000)).toEqual([]);
    expect(await claim(jobId, ['s'])).toEqual([]);
  });
});

describe('a heartbeat', () => {
  it('tells which claims are lost: taken over, ended, given up or cancelled', async () => {
    const jobId = await ledger.addJob({}, ['taken', 'ended', 'kept']);
    const other = await ledger.addJob({}, ['cancelled']);
    const [taken, ended, kept] = await ledger.claim(jobId, ['taken', 'ended', 'kept']);
    const [cancelled] = await ledger.claim(other, ['cancelled']);
    await ledger.passTime(20_000);
    await claim(jobId, ['taken']);
    await recordOutcomes(database, [outcome(ended!, completed())]);
    await cancelJob(database, testTenant, other);
    const lost = await renewClaims(database, [taken!, ended!, kept!, cancelled!], 10_000);
    expect(lost.map((step) => step.key)).toEqual(['taken', 'ended', 'cancelled']);
  });

  it('waits for nobody: a row that stands locked cannot cost a worker its other leases', async () => {
    const jobId = await ledger.addJob({}, keys(3));
    const steps = await ledger.claim(jobId, keys(3));
    await ledger.passTime(9_000);
    await database.transaction(async (transaction) => {
      await transaction.query("SELECT FROM steps WHERE job_id = $1 AND key = 's1' FOR NO KEY UPDATE", [
        jobId,
      ]);
      const renewedMs = async (): Promise<number> => {
        const startedAt = performance.now();
        // What is locked is still ours as far as anybody knows.
        expect(await renewClaims(database, steps, 10_000)).toEqual([]);
        return performance.now() - startedAt;
      };
      expect(await quickestMs(1_000, renewedMs)).toBeLessThan(1_000);
    });
    await ledger.passTime(5_000);
    expect((await claim(jobId, keys(3))).map((step) => step.key)).toEqual(['s1']);
    expect((await renewClaims(database, steps, 10_000)).map((step) => step.key)).toEqual(['s1']);
  });

  it('of nothing asks nothing', async () => {
    expect(await renewClaims({ query: () => Promise.reject(new Error('asked')) }, [], 1)).toEqual([]);
  });
});
