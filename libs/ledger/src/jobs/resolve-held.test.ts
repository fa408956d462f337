import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { checkLedger } from '../testing/check-ledger.ts';
import { findStuck } from '../testing/find-stuck.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { completed, held, outcome } from '../testing/outcomes.ts';
import { cancelJob } from './cancel-job.ts';
import { resolveHeldSteps } from './resolve-held.ts';

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

const error = { code: 'ambiguous_refused', message: 'the answer was lost' };
/** A job with one step that has ended, some that are held, and one that waits. */
async function addHeld(...keys: string[]): Promise<string> {
  const jobId = await ledger.addJob({}, ['ended', ...keys, 'waits']);
  const [ended, ...others] = await ledger.claim(jobId, ['ended', ...keys]);
  await recordOutcomes(ledger.database, [
    outcome(ended!, completed()),
    ...others.map((step) => outcome(step, held(error))),
  ]);
  return jobId;
}
const resolve = (jobId: string, key: string | null, action: 'retry' | 'fail', tenantId = testTenant) =>
  resolveHeldSteps(ledger.database, { tenantId, jobId, key, action });
const allIsWell = async () => {
  expect(await findStuck(ledger.database)).toEqual([]);
  expect(await checkLedger(ledger.database)).toEqual([]);
};

describe('a decision about held steps', () => {
  it('to fail them ends each with its own ordinal and the error it was held for', async () => {
    const jobId = await addHeld('a', 'b', 'c');
    expect((await resolve(jobId, null, 'fail'))!.map((step) => step.key).toSorted()).toEqual(['a', 'b', 'c']);
    const steps = await Promise.all(['a', 'b', 'c'].map((key) => ledger.step(jobId, key)));
    expect(steps.map((step) => step['ordinal'])).toEqual([2, 3, 4]);
    for (const step of steps) expect(step).toMatchObject({ status: 'failed', error, wake_at: null });
    expect(await ledger.job(jobId)).toMatchObject({ status: 'in_progress', steps_open: 1, last_ordinal: 4 });
    const { wake_at } = await ledger.job(jobId);
    expect(Number(wake_at) - Date.now()).toBeLessThan(6_000);
    await allIsWell();
  });

  it('to try them again makes them pending at once, with a new fence to come', async () => {
    const jobId = await addHeld('a', 'b');
    expect(await resolve(jobId, 'a', 'retry')).toEqual([
      { key: 'a', pool: 'openai', fence: 1, priority: 'standard' },
    ]);
    expect(await ledger.step(jobId, 'a')).toMatchObject({ status: 'pending', error: null, ordinal: null });
    // The other one is still held.
    expect(await ledger.job(jobId)).toMatchObject({
      status: 'requires_action',
      steps_open: 3,
      last_ordinal: 1,
    });
    expect((await ledger.claim(jobId, ['a']))[0]).toMatchObject({ fence: 2 });
    await resolve(jobId, 'b', 'retry');
    expect(await ledger.job(jobId)).toMatchObject({ status: 'in_progress' });
    await allIsWell();
  });

  it('is taken once, however many take it', async () => {
    const jobId = await addHeld('a', 'b');
    const answers = await Promise.all(
      [1, 2, 3, 4].map((each) => resolve(jobId, null, each % 2 ? 'fail' : 'retry')),
    );
    expect(answers.map((steps) => steps!.length).toSorted()).toEqual([0, 0, 0, 2]);
    await allIsWell();
  });

  it('changes nothing where nothing is held, in an ended job, or for another tenant', async () => {
    const jobId = await addHeld('a');
    expect(await resolve(jobId, 'waits', 'fail')).toEqual([]);
    expect(await resolve(jobId, null, 'fail', 'another-tenant')).toBeNull();
    expect(await resolve('job_unknown', null, 'fail')).toBeNull();
    await cancelJob(ledger.database, testTenant, jobId);
    const before = await ledger.job(jobId);
    expect(await resolve(jobId, null, 'fail')).toEqual([]);
    expect(await ledger.job(jobId)).toEqual(before);
    await allIsWell();
  });
});
