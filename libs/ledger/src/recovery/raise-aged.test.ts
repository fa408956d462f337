import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { recordOutcomes } from '../steps/record-outcomes.ts';
import { updateTenant } from '../tenants/tenants.ts';
import { testTenant } from '../testing/new-job.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { outcome, pending } from '../testing/outcomes.ts';
import { findAged } from './find-aged.ts';
import { raiseAged } from './raise-aged.ts';

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
beforeEach(async () => {
  await ledger.database.query('DELETE FROM jobs');
});

const limits = { standardMs: 600_000, backgroundMs: 1_800_000 };
const find = () => findAged(ledger.database, limits, 10);

it('a step that waits for too long in its class is raised to the next one, and so on up to realtime', async () => {
  await updateTenant(ledger.database, testTenant, { tier: 'gold' });
  const jobId = await ledger.addJob({ priority: 'background' }, [{ key: 's', estimatedTokens: 50 }]);
  await ledger.passTime(1_790_000);
  expect(await find()).toEqual([]);
  await ledger.passTime(20_000);
  const [aged] = await find();
  const charge = { tenantId: testTenant, tier: 'gold', tokens: 50, aged: true };
  expect(aged).toEqual({
    jobId,
    key: 's',
    pool: 'openai',
    fence: 0,
    from: 'background',
    priority: 'standard',
    delayMs: 0,
    charge,
  });
  // Until it is written down it is found again.
  expect(await find()).toHaveLength(1);
  expect(await raiseAged(ledger.database, [aged!])).toBe(1);
  expect(await raiseAged(ledger.database, [aged!])).toBe(0);
  expect(await find()).toEqual([]);
  await ledger.passTime(601_000);
  const [again] = await find();
  expect(again).toMatchObject({ from: 'standard', priority: 'realtime' });
  await raiseAged(ledger.database, [again!]);
  await ledger.passTime(10_000_000);
  expect(await find()).toEqual([]);
  expect((await ledger.step(jobId, 's'))['priority']).toBe('realtime');
  expect((await ledger.job(jobId))['priority']).toBe('background');
});

it('a step that somebody holds is not raised, one that is tried again is', async () => {
  const jobId = await ledger.addJob({}, ['held', 'again']);
  const [, again] = await ledger.claim(jobId, ['held', 'again']);
  await recordOutcomes(ledger.database, [outcome(again!, pending())]);
  await ledger.passTime(700_000);
  const aged = await find();
  expect(aged.map((each) => [each.key, each.fence])).toEqual([['again', 1]]);
  await ledger.claim(jobId, ['again']);
  expect(await raiseAged(ledger.database, aged)).toBe(0);
});
