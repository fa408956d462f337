import { createHash } from 'node:crypto';
import { createId } from '@millrace/contracts';
import {
  acceptJobs,
  advanceJob,
  claimSteps,
  ensureTenant,
  LedgerUnavailable,
  migrate,
  openDatabase,
} from '@millrace/ledger';
import type { Database, NewStep } from '@millrace/ledger';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLedgerGateway } from './ledger-gateway.ts';

const tenantId = 'acme';
const LEASE_MS = 60_000;
let own: TestDatabase;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase({ migrate });
  database = openDatabase({
    url: own.url,
    maxConnections: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'gateway tests',
  });
  await ensureTenant(database, tenantId);
});
afterAll(async () => {
  await database.close();
  await own.drop();
});

/** A job with steps that wait; returns their wakes. */
async function plant(keys: readonly string[]) {
  const jobId = createId('job');
  await acceptJobs(database, [
    {
      ...{ id: jobId, tenantId, apiKeyId: 'test', idempotencyKey: jobId, type: 'call', priority: 'standard' },
      ...{ lane: 'auto', content: { plan, input: undefined, params: {} }, metadata: {}, webhook: null },
      ...{ requestId: 'test', traceparent: null, deadlineAt: null, maxCostMicroUsd: null },
      fingerprint: createHash('sha256').update(jobId).digest(),
    },
  ]);
  const steps = keys.map((key): NewStep => ({
    key,
    barrier: null,
    target: 'openai/any',
    pool: 'openai',
    request,
  }));
  await advanceJob(database, jobId, async () => ({ kind: 'wait', steps, abandoned: [] }));
  return keys.map((key) => ({ jobId, key, fence: 0 }));
}
const plan = { type: 'call', model: 'openai/any', prompt: 'p' };
const request: NewStep['request'] = {
  ...{ kind: 'call', route: null, model: 'openai/any', system: null, output: null, maxOutputTokens: 1 },
  ...{ messages: [{ role: 'user', content: 'p' }], stream: false },
};

/** The ledger, whose next answer gets lost after the statement was committed. */
function losingOneAnswer(error: Error): Database {
  let isLost = false;
  return {
    ...database,
    async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
      const rows = await database.query<Row>(text, values);
      if (isLost) return rows;
      isLost = true;
      throw error;
    },
  };
}
const deathsOf = (jobId: string) =>
  database.query<{ deaths: number }>('SELECT deaths FROM steps WHERE job_id = $1 AND deaths > 0', [jobId]);

describe('a claim whose answer gets lost after the ledger has made it', () => {
  it('is found again when its worker asks once more, and no worker counts as dead', async () => {
    const wakes = await plant(['a', 'b', 'c']);
    const gateway = createLedgerGateway(losingOneAnswer(new LedgerUnavailable('lost')), 'own', LEASE_MS);
    const answers = await Promise.allSettled(wakes.map((wake) => gateway.claimStep(wake)));
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    const steps = await Promise.all(wakes.map((wake) => gateway.claimStep(wake)));
    expect(steps.map((step) => [step?.key, step?.fence, step?.deaths])).toEqual([
      ['a', 2, 0],
      ['b', 2, 0],
      ['c', 2, 0],
    ]);
    // From now on the claims are known, and a second wake of such a step gets nothing.
    expect(await Promise.all(wakes.map((wake) => gateway.claimStep(wake)))).toEqual([null, null, null]);
    expect(await deathsOf(wakes[0]!.jobId)).toEqual([]);
  });

  it('is found by the claims that are tried alone after an error', async () => {
    const wakes = await plant(['a', 'b']);
    const gateway = createLedgerGateway(losingOneAnswer(new Error('a mistake of ours')), 'own', LEASE_MS);
    const steps = await Promise.all(wakes.map((wake) => gateway.claimStep(wake)));
    expect(steps.map((step) => step?.key)).toEqual(['a', 'b']);
    expect(await deathsOf(wakes[0]!.jobId)).toEqual([]);
  });

  it('is left to those who took the step over meanwhile', async () => {
    const wakes = await plant(['a']);
    const gateway = createLedgerGateway(losingOneAnswer(new LedgerUnavailable('lost')), 'own', LEASE_MS);
    await expect(gateway.claimStep(wakes[0]!)).rejects.toThrow(LedgerUnavailable);
    await database.query(`UPDATE steps SET wake_at = now() - interval '1 minute' WHERE job_id = $1`, [
      wakes[0]!.jobId,
    ]);
    expect(await claimSteps(database, wakes, 'other', LEASE_MS)).toHaveLength(1);
    expect(await gateway.claimStep(wakes[0]!)).toBeNull();
  });
});
