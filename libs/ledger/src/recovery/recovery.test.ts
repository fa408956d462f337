import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { claimSteps } from '../steps/claim-steps.ts';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { updateTenant } from '../tenants/tenants.ts';
import { findStuck } from '../testing/find-stuck.ts';
import { testTenant } from '../testing/new-job.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { completed, held, outcome, pending } from '../testing/outcomes.ts';
import { extendClaims } from './extend-claims.ts';
import { findOverdue } from './find-overdue.ts';
import { measureLedger } from './measure-ledger.ts';
import { measureOverdue } from './measure-overdue.ts';
import { postponeOverdue } from './postpone-overdue.ts';
import { wakeEverything } from './wake-everything.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
});
beforeEach(async () => {
  await database.query('DELETE FROM jobs');
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

/** One turn of the reconciler: what it would put on the queues. */
async function sweep(limit = 1_000) {
  const overdue = await findOverdue(database, limit);
  await postponeOverdue(database, overdue);
  return {
    jobs: overdue.jobs.map((job) => job.jobId),
    steps: overdue.steps.map((step) => `${step.key} ${step.fence}`),
    deliveries: overdue.deliveries.map((delivery) => delivery.deliveryId),
  };
}
const nothing = { jobs: [], steps: [], deliveries: [] };
/** Lets time pass second by second and tells at which seconds a sweep found something, and what. */
async function watch(
  seconds: number,
  step: number,
  found: (swept: Awaited<ReturnType<typeof sweep>>) => string[],
) {
  const seen: [number, string][] = [];
  for (let at = step; at <= seconds; at += step) {
    await ledger.passTime(step * 1_000);
    seen.push(...found(await sweep()).map((name): [number, string] => [at, name]));
  }
  return seen;
}

describe('what is overdue', () => {
  it('is a job whose wake was lost, after five seconds', async () => {
    const jobId = await ledger.addJob({ priority: 'background' });
    await ledger.passTime(4_500);
    expect(await sweep()).toEqual(nothing);
    await ledger.passTime(1_000);
    expect((await findOverdue(database, 10)).jobs).toEqual([
      { jobId, priority: 'background', tenantId: testTenant },
    ]);
  });

  it('is a step whose wake was lost, with what its wake must carry', async () => {
    const jobId = await ledger.addJob({}, [{ key: 's', pool: 'p' }]);
    const [step] = await ledger.claim(jobId, ['s']);
    await recordOutcomes(database, [outcome(step!, pending({ delayMs: 60_000 }))]);
    await ledger.passTime(30_000);
    expect(await sweep()).toEqual(nothing);
    await ledger.passTime(41_000);
    expect((await findOverdue(database, 10)).steps).toEqual([
      {
        jobId,
        key: 's',
        pool: 'p',
        target: 'openai/any',
        fence: 1,
        priority: 'standard',
        delayMs: 0,
        isPending: true,
        charge: null,
      },
    ]);
  });

  it('is a step that nobody has taken, and whose tenant pays for its place', async () => {
    await updateTenant(database, testTenant, { tier: 'gold' });
    const jobId = await ledger.addJob({}, [{ key: 's', estimatedTokens: 77 }]);
    await ledger.passTime(11_000);
    const charge = { tenantId: testTenant, tier: 'gold', tokens: 77, aged: false };
    expect((await findOverdue(database, 10)).steps).toMatchObject([{ jobId, key: 's', fence: 0, charge }]);
    await updateTenant(database, testTenant, { tier: 'standard' });
  });

  it('is a job whose last step ended and whose plan nobody carried on', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const [step] = await ledger.claim(jobId, ['s']);
    await recordOutcomes(database, [outcome(step!, completed())]);
    await ledger.passTime(5_500);
    expect((await sweep()).jobs).toEqual([jobId]);
  });

  it('is a job past its deadline, whatever it waits for', async () => {
    const deadlineAt = Date.now() + 3_600_000;
    const waits = await ledger.addJob({ deadlineAt }, ['s']);
    const asks = await ledger.addJob({ deadlineAt }, ['s']);
    const [step] = await ledger.claim(asks, ['s']);
    await recordOutcomes(database, [outcome(step!, held())]);
    const fresh = await ledger.addJob({ deadlineAt });
    await watch(60, 30, () => []);
    await ledger.passTime(3_600_000 - 60_000 + 500);
    expect((await sweep()).jobs.toSorted()).toEqual([asks, fresh, waits].toSorted());
  });

  it('is not what somebody holds, nor what waits for a person, nor what has ended', async () => {
    const jobId = await ledger.addJob({}, ['claimed', 'sent', 'held']);
    await ledger.claim(jobId, ['claimed'], 3_600_000);
    const [on] = await ledger.claim(jobId, ['held']);
    await recordOutcomes(database, [outcome(on!, held())]);
    await database.query("UPDATE steps SET wake_at = now() + interval '1 hour' WHERE key = 'sent'");
    await complete(database, await ledger.addJob());
    await ledger.passTime(600_000);
    expect(await sweep()).toEqual(nothing);
  });

  it('is told in measure, and grows while nobody looks', async () => {
    await ledger.addJob({}, ['s']);
    expect(await measureOverdue(database)).toBe(0);
    await ledger.passTime(40_000);
    expect(await measureOverdue(database)).toBeGreaterThan(29);
    await sweep();
    expect(await measureOverdue(database)).toBe(0);
  });
});

describe('what was put on the queue again', () => {
  it('comes back after 10 s, 40 s, 160 s and then every 5 minutes', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    const waiting = await ledger.addJob();
    const seen = await watch(1_000, 5, (swept) => [...swept.jobs, ...swept.steps]);
    const at = (name: string) => seen.filter((each) => each[1].startsWith(name)).map((each) => each[0]);
    const distances = (times: number[]) => times.slice(1).map((time, index) => time - times[index]!);
    expect(at('s')[0]).toBeLessThanOrEqual(15);
    // Sweeps every five seconds find a row up to five seconds late.
    for (const times of [at('s'), at(waiting)]) {
      expect(
        distances(times)
          .map((distance, index) => distance - [10, 40, 160, 300, 300][index]!)
          .every((late) => late >= 0 && late <= 5),
      ).toBe(true);
      expect(times.length).toBeGreaterThanOrEqual(5);
    }
    expect(at(jobId)).toEqual([]);
  });

  it('is not postponed when somebody took it up between the two', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.passTime(11_000);
    const overdue = await findOverdue(database, 10);
    const [step] = await claimSteps(database, [{ jobId, key: 's' }], 'w', 12_000);
    const before = await ledger.step(jobId, 's');
    await postponeOverdue(database, overdue);
    expect(await ledger.step(jobId, 's')).toEqual(before);
    await recordOutcomes(database, [outcome(step!, completed())]);
    await postponeOverdue(database, overdue);
    expect(await ledger.step(jobId, 's')).toMatchObject({ wake_at: null, status: 'completed' });
  });

  it('is left alone while somebody has it locked', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.passTime(11_000);
    const overdue = await findOverdue(database, 10);
    await database.transaction(async (transaction) => {
      await transaction.query('SELECT FROM steps WHERE job_id = $1 FOR UPDATE', [jobId]);
      await postponeOverdue(database, overdue);
    });
    expect(await ledger.step(jobId, 's')).toMatchObject({ wake_count: 0 });
  });
});

describe('a step whose worker died', () => {
  it('is overdue until somebody takes it over, with one wake however long that takes', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.claim(jobId, ['s'], 12_000);
    const seen = await watch(700, 5, (swept) => swept.steps);
    expect(seen[0]![0]).toBe(15);
    // It is seen by every sweep, and its wakes collapse with the one that waits on the queue.
    expect(new Set(seen.map((each) => each[1]))).toEqual(new Set(['s 1']));
    expect(await claimSteps(database, [{ jobId, key: 's' }], 'w', 12_000)).toMatchObject([
      { fence: 2, deaths: 1 },
    ]);
    expect(await sweep()).toEqual(nothing);
  });

  it('does not stand in the way of the others, however many there are', async () => {
    const keys = Array.from({ length: 30 }, (_, index) => `dead ${index}`);
    const jobId = await ledger.addJob({}, [...keys, 'waits']);
    await ledger.claim(jobId, keys, 1_000);
    await ledger.passTime(60_000);
    expect((await sweep(10)).steps.some((name) => name.startsWith('waits'))).toBe(true);
  });
});

describe('after the ledger was away', () => {
  it('every holder gets a new lease, so that nobody steals what it holds', async () => {
    const jobId = await ledger.addJob({}, ['claimed', 'sent', 'waits']);
    await ledger.claim(jobId, ['claimed']);
    const { step } = await ledger.send(jobId, 'sent');
    await ledger.passTime(60_000);
    expect(await extendClaims(database, 12_000)).toBe(2);
    const references = ['claimed', 'sent'].map((key) => ({ jobId, key }));
    expect(await claimSteps(database, references, 'thief', 12_000)).toEqual([]);
    expect((await findOverdue(database, 10)).steps.map((each) => each.key)).toEqual(['waits']);
    expect(await recordOutcomes(database, [outcome(step, completed())])).toMatchObject([{ accepted: true }]);
    await ledger.passTime(13_000);
    expect(await claimSteps(database, references, 'heir', 12_000)).toMatchObject([
      { key: 'claimed', fence: 2 },
    ]);
  });

  it('a longer lease is not shortened', async () => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.claim(jobId, ['s'], 60_000);
    expect(await extendClaims(database, 12_000)).toBe(0);
    expect(await ledger.step(jobId, 's')).toMatchObject({ owner: 'a worker' });
  });
});

describe('after the transport lost everything', () => {
  it('all that waits for a wake is overdue at once, what has to wait with its delay', async () => {
    const queued = await ledger.addJob();
    const waits = await ledger.addJob({}, ['postponed', 'delayed', 'claimed', 'held']);
    const carriedOn = await ledger.addJob({}, ['done']);
    const [delayed, , on] = await ledger.claim(waits, ['delayed', 'claimed', 'held']);
    await recordOutcomes(database, [
      outcome(delayed!, pending({ delayMs: 3_600_000 })),
      outcome(on!, held()),
    ]);
    const [done] = await ledger.claim(carriedOn, ['done']);
    await recordOutcomes(database, [outcome(done!, completed())]);
    await complete(database, await ledger.addJob());
    await database.query(
      "UPDATE steps SET wake_at = now() + interval '5 minutes', wake_count = 4 WHERE key = 'postponed'",
    );
    // In several statements: a backlog does not fit into one.
    await wakeEverything(database, 1);
    const overdue = await findOverdue(database, 100);
    expect(overdue.jobs.map((job) => job.jobId).toSorted()).toEqual([carriedOn, queued].toSorted());
    expect(overdue.steps.map((step) => step.key).toSorted()).toEqual(['delayed', 'postponed']);
    const wait = overdue.steps.find((step) => step.key === 'delayed')!.delayMs;
    expect(wait).toBeGreaterThan(3_590_000);
    expect(wait).toBeLessThanOrEqual(3_600_000);
    expect(await findStuck(database)).toEqual([]);
  });
});

describe('the gauges', () => {
  it('count open jobs, and steps by pool, state and class, with the age of the oldest', async () => {
    const jobId = await ledger.addJob({ priority: 'realtime' }, [
      { key: 'a', pool: 'p' },
      { key: 'b', pool: 'p' },
      'c',
      'd',
    ]);
    const [c, d] = await ledger.claim(jobId, ['c', 'd']);
    await recordOutcomes(database, [outcome(c!, held()), outcome(d!, completed())]);
    await ledger.addJob();
    await ledger.addJob();
    await complete(database, await ledger.addJob());
    await database.query("UPDATE steps SET created_at = now() - interval '1 minute' WHERE key = 'b'");
    const readings = await measureLedger(database);
    expect(readings.openJobs.toSorted((x, y) => (x.status < y.status ? -1 : 1))).toEqual([
      { status: 'queued', count: 2 },
      { status: 'requires_action', count: 1 },
    ]);
    const [held_, waits] = readings.openSteps.toSorted((x, y) => x.count - y.count);
    expect(held_).toMatchObject({ pool: 'openai', status: 'held', priority: 'realtime', count: 1 });
    expect(waits).toMatchObject({ pool: 'p', status: 'pending', priority: 'realtime', count: 2 });
    expect(waits!.oldestAgeSeconds).toBeGreaterThan(59);
    expect(readings).toMatchObject({ pendingDeliveries: 0, longestOverdueSeconds: 0 });
    expect(testTenant).toBe('acme');
  });
});
