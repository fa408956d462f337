import { setImmediate as nextTurn } from 'node:timers/promises';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from './database.ts';
import { advanceJobs } from './jobs/advance-job.ts';
import { cancelJob } from './jobs/cancel-job.ts';
import { resolveHeldSteps } from './jobs/resolve-held.ts';
import { extendClaims } from './recovery/extend-claims.ts';
import { findOverdue } from './recovery/find-overdue.ts';
import { postponeOverdue } from './recovery/postpone-overdue.ts';
import { wakeEverything } from './recovery/wake-everything.ts';
import { claimSteps } from './steps/claim-steps.ts';
import type { ClaimedStep } from './steps/claim-steps.ts';
import { markSent } from './steps/mark-sent.ts';
import { recordOutcomes } from './steps/record-outcomes.ts';
import type { StepOutcome } from './steps/step-outcome.ts';
import { renewClaims } from './steps/renew-claims.ts';
import { checkLedger } from './testing/check-ledger.ts';
import { countDeadlocks } from './testing/count-deadlocks.ts';
import { findStuck } from './testing/find-stuck.ts';
import { testTenant } from './testing/new-job.ts';
import { complete, departure, newStep, openTestLedger } from './testing/open-test-ledger.ts';
import type { TestLedger } from './testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, failed, held, outcome, pending } from './testing/outcomes.ts';

/** At least; on a busy machine as long as the slowest actor needs to have come often enough. */
const DURATION_MS = 8_000;
const LONGEST_MS = 40_000;
const OFTEN = 10;
const KEYS = Array.from({ length: 24 }, (_, index) => `s${index}`);
/** Shorter than the storm, so that claims are taken over while their holders still report. */
const LEASE_MS = 150;

let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(Math.random() * items.length)]!;
const shuffle = <Item>(items: readonly Item[]): Item[] =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);

describe('everything at once, at full speed', () => {
  it('never deadlocks, and leaves a ledger in which all the sums are right and nothing is stuck', async () => {
    const jobIds = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        ledger.addJob(
          { maxCostMicroUsd: index % 2 ? null : 1_000_000 },
          KEYS.map((key, place) => ({ key, barrier: place % 3 ? 'all' : null })),
        ),
      ),
    );
    const held_: ClaimedStep[] = [];
    const done: Record<string, number> = {};
    const deadlocks = await countDeadlocks(own.url, (database) => storm(database, jobIds, held_, done), 24);
    expect(deadlocks).toBe(0);
    // Every kind of actor came to act; otherwise the storm was a breeze.
    for (const [actor, count] of Object.entries(done)) expect(count, actor).toBeGreaterThan(OFTEN);
    expect(await findStuck(ledger.database)).toEqual([]);
    expect(await checkLedger(ledger.database)).toEqual([]);
  }, 90_000);
});

async function storm(
  database: Database,
  jobIds: string[],
  claims: ClaimedStep[],
  done: Record<string, number>,
): Promise<void> {
  const references = () =>
    shuffle(
      [pick(jobIds), pick(jobIds), pick(jobIds)].flatMap((jobId) =>
        shuffle(KEYS)
          .slice(0, 8)
          .map((key) => ({ jobId, key })),
      ),
    );
  const finish = (step: ClaimedStep, attempt: number | null): StepOutcome => {
    const next = pick([pending(), pending(), completed(), failed(), held()]);
    return outcome(
      step,
      next,
      attempt === null ? null : attemptEnd(attempt, { usage: billed(3), ambiguous: Math.random() < 0.1 }),
    );
  };
  const actors: Record<string, () => Promise<unknown>> = {
    async work() {
      const steps = shuffle(await claimSteps(database, references(), 'w', LEASE_MS));
      if (steps.length === 0) return;
      claims.push(...steps);
      if (claims.length > 200) claims.splice(0, 100);
      const sent = await markSent(
        database,
        steps.map((step) => departure(step, 5)),
      );
      // Some workers die with their calls.
      const alive = steps.flatMap((step, index) => {
        const result = sent[index]!;
        return Math.random() < 0.2 ? [] : [finish(step, result.verdict === 'go' ? result.attempt : null)];
      });
      if (alive.length > 0) await recordOutcomes(database, shuffle([...alive, ...alive.slice(0, 2)]));
    },
    async late() {
      const late = shuffle(claims).slice(0, 10);
      if (late.length > 0)
        await recordOutcomes(
          database,
          late.map((step) => finish(step, 1)),
        );
    },
    renew: () => renewClaims(database, shuffle(claims).slice(0, 60), LEASE_MS),
    extend: () => extendClaims(database, LEASE_MS),
    async reconcile() {
      const overdue = await findOverdue(database, 1_000);
      await postponeOverdue(database, {
        ...overdue,
        steps: shuffle(overdue.steps),
        jobs: shuffle(overdue.jobs),
      });
    },
    wake: () => wakeEverything(database),
    resolve: () =>
      resolveHeldSteps(database, {
        tenantId: testTenant,
        jobId: pick(jobIds),
        key: null,
        action: pick(['retry', 'retry', 'fail']),
      }),
    async advance() {
      const some = [...new Set([pick(jobIds), pick(jobIds), pick(jobIds), pick(jobIds)])];
      // One of them ends now and then, beside others that give steps up.
      const [ends] = Math.random() < 0.1 ? some : [];
      if (ends !== undefined) {
        jobIds.splice(
          jobIds.indexOf(ends),
          1,
          await ledger.addJob(
            {},
            shuffle(KEYS).map((key) => ({ key, barrier: 'all' })),
          ),
        );
      }
      await advanceJobs(database, some, async ({ jobId }) =>
        jobId === ends
          ? { kind: 'finish', status: 'completed', output: null, error: null }
          : {
              kind: 'wait',
              steps: [newStep(`n${Math.floor(Math.random() * 50)}`)],
              abandoned: shuffle(KEYS).slice(0, 2),
            },
      );
    },
    async end() {
      const place = Math.floor(Math.random() * jobIds.length);
      const [over] = jobIds.splice(place, 1);
      const fresh = ledger.addJob(
        {},
        shuffle(KEYS).map((key) => ({ key, barrier: 'all' })),
      );
      await Promise.all([cancelJob(database, testTenant, over!), complete(database, over!)]);
      jobIds.push(await fresh);
    },
  };
  const beganAt = performance.now();
  const goesOn = (): boolean => {
    const age = performance.now() - beganAt;
    return age < DURATION_MS || (age < LONGEST_MS && crowd.some((name) => (done[name] ?? 0) <= OFTEN));
  };
  const crowd = [
    'work',
    'work',
    'work',
    'work',
    'work',
    'late',
    'renew',
    'renew',
    'extend',
    'reconcile',
    'wake',
    'resolve',
    'advance',
    'advance',
    'end',
  ];
  await Promise.all(
    crowd.map(async (name) => {
      while (goesOn()) {
        await actors[name]!();
        // Some have nothing to do at times; the others must get their turn.
        await nextTurn();
        done[name] = (done[name] ?? 0) + 1;
      }
    }),
  );
}
