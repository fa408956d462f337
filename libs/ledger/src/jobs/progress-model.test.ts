import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import type { NextState } from '../steps/step-outcome.ts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import { claimSteps } from '../steps/claim-steps.ts';
import { markSent } from '../steps/mark-sent.ts';
import { checkLedger } from '../testing/check-ledger.ts';
import { findStuck } from '../testing/find-stuck.ts';
import { testTenant } from '../testing/new-job.ts';
import { complete, departure, openTestLedger, waitFor } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { completed, failed, held, outcome, pending } from '../testing/outcomes.ts';
import { cancelJob } from './cancel-job.ts';
import { resolveHeldSteps } from './resolve-held.ts';

/** What a job is, told simply: its steps by state. Everything that the ledger counts follows from it. */
class JobModel {
  readonly steps = new Map<string, { state: string; barrier: string | null }>();
  status = 'queued';
  known = 0;

  private readonly ended = ['completed', 'failed', 'cancelled'];
  private in(...states: string[]) {
    return [...this.steps.values()].filter((step) => states.includes(step.state));
  }
  get over() {
    return [...this.ended, 'expired'].includes(this.status);
  }
  get open() {
    return [...this.steps.values()].filter((step) => !this.ended.includes(step.state)).length;
  }
  get done() {
    return this.in('completed').length;
  }
  wait(fresh: { key: string; barrier: string | null }[], abandoned: string[]): void {
    if (this.over) return;
    for (const { key, barrier } of fresh)
      if (!this.steps.has(key)) this.steps.set(key, { state: 'pending', barrier });
    for (const key of abandoned) {
      const step = this.steps.get(key);
      if (step && !this.ended.includes(step.state)) step.state = 'cancelled';
    }
    this.known = this.steps.size - this.in('cancelled').length;
    this.status = this.in('held').length > 0 ? 'requires_action' : 'in_progress';
    if (this.open === 0) this.end('failed');
  }
  /** Records one ending; answers whether the plan may go on. */
  record(key: string, state: string): boolean {
    const step = this.steps.get(key)!;
    step.state = state;
    if (state === 'held') this.status = 'requires_action';
    if (state !== 'completed' && state !== 'failed') return false;
    const siblings = [...this.steps.values()].filter(
      (other) => other.barrier === step.barrier && !this.ended.includes(other.state),
    );
    return state === 'failed' || step.barrier === null || siblings.length === 0;
  }
  resolve(state: 'pending' | 'failed'): void {
    if (this.over || this.in('held').length === 0) return;
    for (const step of this.in('held')) step.state = state;
    this.status = 'in_progress';
  }
  end(status: string): void {
    if (this.over) return;
    this.status = status;
    for (const step of this.steps.values()) if (!this.ended.includes(step.state)) step.state = 'cancelled';
  }
}

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const fresh = fc.record({ key, barrier: fc.constantFrom(null, 'x', 'x') });
const next = fc.constantFrom<NextState>(completed(), completed(), failed(), held(), pending());
const move = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      move: fc.constant('wait'),
      fresh: fc.array(fresh, { maxLength: 3 }),
      abandoned: fc.subarray(['a', 'b', 'c']),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      move: fc.constant('run'),
      ends: fc.array(fc.tuple(key, next), { minLength: 1, maxLength: 3 }),
      send: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ move: fc.constant('die'), key, send: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ move: fc.constant('resolve'), action: fc.constantFrom('retry', 'fail') }),
  },
  { weight: 1, arbitrary: fc.record({ move: fc.constantFrom('cancel', 'complete', 'expire') }) },
);
type Move = {
  move: string;
  fresh?: { key: string; barrier: string | null }[];
  abandoned?: string[];
  ends?: [string, NextState][];
  key?: string;
  send?: boolean;
  action?: 'retry' | 'fail';
};

let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, { maxConnections: 4 });
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

describe('whatever happens to a job', () => {
  it('its counts and its state are those of a simple model, and something will always touch it again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 4, maxLength: 16 }), async (moves) => {
        await ledger.database.query('DELETE FROM usage');
        await ledger.database.query('DELETE FROM jobs');
        const jobId = await ledger.addJob({ deadlineAt: Date.now() + 86_400_000 });
        const model = new JobModel();
        for (const each of [
          {
            move: 'wait',
            fresh: [
              { key: 'a', barrier: null },
              { key: 'b', barrier: 'x' },
            ],
            abandoned: [],
          },
          ...moves,
        ]) {
          await play(jobId, model, each);
          const row = await ledger.job(jobId);
          expect(row).toMatchObject({
            status: model.status,
            steps_known: model.known,
            steps_open: model.open,
            steps_done: model.done,
          });
          expect(await findStuck(ledger.database)).toEqual([]);
        }
        expect(await checkLedger(ledger.database)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  }, 60_000);
});

async function play(jobId: string, model: JobModel, each: Move): Promise<void> {
  const { database } = ledger;
  switch (each.move) {
    case 'wait':
      model.wait(each.fresh!, each.abandoned!);
      await waitFor(database, jobId, each.fresh!, each.abandoned);
      return;
    case 'run': {
      const ends = [...new Map(each.ends)];
      const claimed = await claim(
        jobId,
        ends.map(([name]) => name),
        each.send!,
      );
      const reports = ends.flatMap(([name, state]) => {
        const step = claimed.find((candidate) => candidate.key === name);
        return step ? [outcome(step, state)] : [];
      });
      const results = await recordOutcomes(database, reports);
      // Siblings in one batch see each other: all are applied before anybody is asked.
      reports.forEach((report) => model.record(report.key, report.next.status));
      const may =
        reports.some((report) => model.record(report.key, report.next.status)) ||
        (model.open === 0 && reports.some((report) => ['completed', 'failed'].includes(report.next.status)));
      expect(results.some((result) => result.mayAdvance)).toBe(may && !model.over);
      return;
    }
    case 'die': {
      const claimed = await claim(jobId, [each.key!], each.send!);
      if (claimed.length === 0) return;
      model.steps.get(each.key!)!.state = 'claimed';
      await ledger.passTime(60_000);
      // The next worker hands it back.
      const [again] = await claim(jobId, [each.key!], false);
      expect(again).toMatchObject({ fence: claimed[0]!.fence + 1, lostAnswer: each.send });
      await recordOutcomes(database, [
        outcome(claimed[0]!, completed()),
        outcome(again!, pending({ countsAttempt: false })),
      ]);
      model.record(each.key!, 'pending');
      return;
    }
    case 'resolve':
      model.resolve(each.action === 'retry' ? 'pending' : 'failed');
      await resolveHeldSteps(database, { tenantId: testTenant, jobId, key: null, action: each.action! });
      return;
    case 'cancel':
      model.end('cancelled');
      await cancelJob(database, testTenant, jobId);
      return;
    case 'complete':
      model.end('completed');
      await complete(database, jobId);
      return;
    case 'expire':
      model.end('expired');
      await ledger.passTime(86_400_001);
      await complete(database, jobId);
      return;
  }
}

async function claim(jobId: string, keys: string[], send: boolean): Promise<ClaimedStep[]> {
  const { database } = ledger;
  const steps = await claimSteps(
    database,
    keys.map((name) => ({ jobId, key: name })),
    'w',
    30_000,
  );
  if (send)
    await markSent(
      database,
      steps.map((step) => departure(step)),
    );
  return steps;
}
