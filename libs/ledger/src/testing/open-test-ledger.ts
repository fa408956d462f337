import type { Json } from '@millrace/contracts';
import { openDatabase } from '../database.ts';
import type { Database, DatabaseOptions } from '../database.ts';
import { acceptJobs } from '../jobs/accept-jobs.ts';
import type { NewJob } from '../jobs/accept-jobs.ts';
import { advanceJob } from '../jobs/advance-job.ts';
import type { AdvanceDecision, AdvanceResult } from '../jobs/advance-job.ts';
import type { NewStep } from '../jobs/insert-steps.ts';
import { claimSteps } from '../steps/claim-steps.ts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import { markSent } from '../steps/mark-sent.ts';
import type { Departure } from '../steps/mark-sent.ts';
import { ensureTenant } from '../tenants/tenants.ts';
import { newJob, testTenant } from './new-job.ts';
import { testOptions } from './test-options.ts';

/** A database with the tenant of the tests, and the moves that nearly every test begins with. */
export interface TestLedger {
  database: Database;
  /** Accepts a job; with `steps` it is advanced to wait for them. Returns its id. */
  addJob(change?: Partial<NewJob>, steps?: readonly StepShape[]): Promise<string>;
  /** Claims steps of a job by their keys, in the order of the keys; throws when one is not to be had. */
  claim(jobId: string, keys: readonly string[], leaseMs?: number): Promise<ClaimedStep[]>;
  /** Claims one step and puts its call on record. */
  send(
    jobId: string,
    key: string,
    worstCaseMicroUsd?: number,
  ): Promise<{ step: ClaimedStep; attempt: number }>;
  /** The row of a job, with the names of its columns. */
  job(jobId: string): Promise<Record<string, Json>>;
  step(jobId: string, key: string): Promise<Record<string, Json>>;
  /** Lets time pass for what is stored: every instant that somebody waits for moves this much nearer. */
  passTime(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** A step as tests name it: its key, or more of it. */
export type StepShape = string | (Partial<NewStep> & { key: string });

/** Opens a migrated database for tests. */
export async function openTestLedger(
  url: string,
  change: Partial<DatabaseOptions> = {},
): Promise<TestLedger> {
  const database = openDatabase(testOptions(url, change));
  await ensureTenant(database, testTenant);
  const claim: TestLedger['claim'] = async (jobId, keys, leaseMs = 10_000) => {
    const references = keys.map((key) => ({ jobId, key }));
    const claimed = await claimSteps(database, references, 'a worker', leaseMs);
    return keys.map((key) => claimed.find((step) => step.key === key) ?? missing(key));
  };
  return {
    database,
    async addJob(change = {}, steps = []) {
      const job = newJob(change);
      await acceptJobs(database, [job]);
      if (steps.length > 0) await waitFor(database, job.id, steps);
      return job.id;
    },
    claim,
    async send(jobId, key, worstCaseMicroUsd = 0) {
      const [step = missing(key)] = await claim(jobId, [key]);
      const [result] = await markSent(database, [departure(step, worstCaseMicroUsd)]);
      if (result?.verdict !== 'go')
        throw new Error(`${key} may not leave: ${result?.verdict ?? 'no answer'}`);
      return { step, attempt: result.attempt };
    },
    async job(jobId) {
      const [row] = await database.query<Record<string, Json>>('SELECT * FROM jobs WHERE id = $1', [jobId]);
      return row ?? missing(jobId);
    },
    async step(jobId, key) {
      const [row] = await database.query<Record<string, Json>>(
        'SELECT * FROM steps WHERE job_id = $1 AND key = $2',
        [jobId, key],
      );
      return row ?? missing(key);
    },
    async passTime(ms) {
      const columns = {
        jobs: ['wake_at', 'deadline_at'],
        provider_batches: ['wake_at'],
        steps: ['wake_at', 'not_before', 'escape_at', 'class_since'],
        webhook_deliveries: ['wake_at', 'not_before'],
        leases: ['expires_at'],
      };
      for (const [table, names] of Object.entries(columns)) {
        const moved = names.map((name) => `${name} = ${name} - $1 * interval '1 millisecond'`);
        await database.query(`UPDATE ${table} SET ${moved.join(', ')}`, [ms]);
      }
    },
    close: () => database.close(),
  };
}

/** Advances a job to wait for further steps. */
export function waitFor(
  database: Database,
  jobId: string,
  steps: readonly StepShape[],
  abandoned: string[] = [],
): Promise<AdvanceResult> {
  return advance(database, jobId, { kind: 'wait', steps: steps.map(newStep), abandoned });
}

/** Advances a job by a decision that the test has taken. */
export function advance(
  database: Database,
  jobId: string,
  decision: AdvanceDecision,
): Promise<AdvanceResult> {
  return advanceJob(database, jobId, async () => decision);
}

/** Ends a job well. */
export function complete(database: Database, jobId: string, output: Json = 'done'): Promise<AdvanceResult> {
  return advance(database, jobId, { kind: 'finish', status: 'completed', output, error: null });
}

/** A step as a plan wants it. */
export function newStep(shape: StepShape): NewStep {
  const named = typeof shape === 'string' ? { key: shape } : shape;
  return {
    barrier: null,
    target: 'openai/any',
    pool: 'openai',
    request: {
      kind: 'call',
      route: null,
      model: 'openai/any',
      system: null,
      messages: [{ role: 'user', content: 'p' }],
      output: null,
      maxOutputTokens: 10,
      stream: false,
    },
    ...named,
  };
}

/** The departure of a claimed step. */
export function departure(step: ClaimedStep, worstCaseMicroUsd = 0): Departure {
  const { jobId, key, fence, target } = step;
  return {
    jobId,
    key,
    fence,
    owner: 'a worker',
    target,
    purpose: 'answer',
    worstCaseMicroUsd,
    lostAnswer: step.lostAnswer,
  };
}

function missing(what: string): never {
  throw new Error(`there is no ${what}`);
}
