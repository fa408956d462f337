import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveHeldSteps } from '../jobs/resolve-held.ts';
import { testTenant } from '../testing/new-job.ts';
import { departure, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { held, outcome, pending } from '../testing/outcomes.ts';
import { claimSteps } from './claim-steps.ts';
import { markSent } from './mark-sent.ts';
import { recordOutcomes } from './record-outcomes.ts';

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

const claim = (jobId: string, owner: string, again = false) =>
  claimSteps(ledger.database, [{ jobId, key: 's', again }], owner, 10_000);

describe('a lost answer whose claim gets lost in its turn', () => {
  const loseAnswer = async (): Promise<string> => {
    const jobId = await ledger.addJob({}, ['s']);
    await ledger.send(jobId, 's');
    await ledger.passTime(20_000);
    expect(await claim(jobId, 'second')).toMatchObject([{ lostAnswer: true, fence: 2 }]);
    return jobId;
  };
  const counted = async (jobId: string) => {
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 1 });
    expect(await ledger.step(jobId, 's')).toMatchObject({ ambiguous_calls: 1 });
  };

  it('is told again to the same worker when it never heard of its claim', async () => {
    const jobId = await loseAnswer();
    expect(await claim(jobId, 'second', true)).toMatchObject([{ lostAnswer: true, fence: 3, deaths: 1 }]);
    await counted(jobId);
  });

  it('is told to the next worker when the second one dies before it records anything', async () => {
    const jobId = await loseAnswer();
    await ledger.passTime(20_000);
    expect(await claim(jobId, 'third')).toMatchObject([{ lostAnswer: true, fence: 3, deaths: 2 }]);
    await counted(jobId);
  });

  it('is told no more once an outcome is recorded: held and sent again, or handed back', async () => {
    for (const next of [held(), pending({ countsAttempt: false })]) {
      const jobId = await loseAnswer();
      const [third] = await claim(jobId, 'second', true);
      await recordOutcomes(ledger.database, [outcome(third!, next)]);
      await resolveHeldSteps(ledger.database, { tenantId: testTenant, jobId, key: null, action: 'retry' });
      expect(await claim(jobId, 'fourth')).toMatchObject([{ lostAnswer: false, fence: 4 }]);
    }
  });

  it('is told no more once the step is sent again, and anew when that call is lost too', async () => {
    const jobId = await loseAnswer();
    const [third] = await claim(jobId, 'second', true);
    await markSent(ledger.database, [departure(third!)]);
    expect(await ledger.step(jobId, 's')).toMatchObject({ answer_lost: false });
    await ledger.passTime(20_000);
    expect(await claim(jobId, 'fourth')).toMatchObject([{ lostAnswer: true, fence: 4 }]);
    expect(await ledger.job(jobId)).toMatchObject({ ambiguous_calls: 2 });
  });
});
