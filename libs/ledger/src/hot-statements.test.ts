import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database, Queryable } from './database.ts';
import { findBatchDurations } from './batches/batch-durations.ts';
import { bindLines } from './batches/bind-lines.ts';
import { claimBatches } from './batches/claim-batches.ts';
import { countOpenLines } from './batches/count-open-lines.ts';
import { endBatch } from './batches/end-batch.ts';
import { escapeBatch, escapeLateSteps } from './batches/escape-steps.ts';
import { findCandidates } from './batches/find-candidates.ts';
import { findCollected } from './batches/find-collected.ts';
import { findLines } from './batches/find-lines.ts';
import { findUnwantedLines, isBatchWanted } from './batches/is-batch-wanted.ts';
import { leaveLane } from './batches/leave-lane.ts';
import { findOpenLines, loadLines } from './batches/load-lines.ts';
import type { OpenLine } from './batches/load-lines.ts';
import { measureBatches } from './batches/measure-batches.ts';
import { noteAnswered } from './batches/note-answered.ts';
import { openBatch } from './batches/open-batch.ts';
import { releaseLines } from './batches/release-lines.ts';
import { settlePilots, tryShape } from './batches/try-shape.ts';
import { acceptJobs } from './jobs/accept-jobs.ts';
import { cancelJob } from './jobs/cancel-job.ts';
import { findAccepted } from './jobs/find-accepted.ts';
import { findEvents } from './jobs/find-events.ts';
import { findJob } from './jobs/find-job.ts';
import { listJobs } from './jobs/list-jobs.ts';
import { extendClaims } from './recovery/extend-claims.ts';
import { findAged } from './recovery/find-aged.ts';
import { findOverdue } from './recovery/find-overdue.ts';
import { measureBacklog } from './recovery/measure-backlog.ts';
import { measureLedger } from './recovery/measure-ledger.ts';
import { postponeOverdue } from './recovery/postpone-overdue.ts';
import { pruneJobs } from './recovery/prune.ts';
import { raiseAged } from './recovery/raise-aged.ts';
import { wakeEverything } from './recovery/wake-everything.ts';
import { claimSteps } from './steps/claim-steps.ts';
import { findOpenCalls } from './steps/find-open-calls.ts';
import { listSteps } from './steps/list-steps.ts';
import { markSent } from './steps/mark-sent.ts';
import { recordOutcomes } from './steps/record-outcomes.ts';
import { renewClaims } from './steps/renew-claims.ts';
import { fillLedger } from './testing/fill-ledger.ts';
import { newJob } from './testing/new-job.ts';
import { departure, openTestLedger, waitFor } from './testing/open-test-ledger.ts';
import type { TestLedger } from './testing/open-test-ledger.ts';
import { attemptEnd, billed, completed, outcome } from './testing/outcomes.ts';
import { countOpenJobs } from './tenants/tenants.ts';

const JOBS = 100_000;
let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url, {
    maxConnections: 4,
    statementTimeoutMs: 120_000,
    connectTimeoutMs: 30_000,
  });
  await fillLedger(ledger.database, JOBS);
}, 150_000);
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const idOf = (n: number) => `job_${String(n).padStart(26, '0')}`;
/** Jobs that wait for steps: every tenth that is no twentieth. */
const waiting = Array.from({ length: 64 }, (_, index) => idOf(50_010 + index * 20));

/** Jobs whose steps go through a batch. */
const batched = Array.from({ length: 60 }, (_, index) => idOf(70_010 + index * 20));

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  Plans?: Plan[];
}

/** Tables that grow with use. */
const GROWING = ['jobs', 'steps', 'attempts', 'usage', 'job_events', 'webhook_deliveries'];

function scans(plan: Plan): string[] {
  const own =
    plan['Node Type'] === 'Seq Scan' && GROWING.includes(plan['Relation Name'] ?? '')
      ? [plan['Relation Name']!]
      : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scans)];
}

/**
 * Runs `work` and explains every statement that it sends: with the values at hand, and as the generic plan that a
 * connection may change over to after some executions. Answers the sequential scans, and how long the statements took.
 */
async function explain(
  work: (database: Database) => Promise<unknown>,
): Promise<{ scans: string[]; ms: number }> {
  const { database } = ledger;
  const found = new Set<string>();
  let ms = 0;
  const watched = (queryable: Queryable): Queryable => ({
    async query<Row>(text: string, values: readonly unknown[] = []) {
      const plans = [await explainWith(text, values), await explainGeneric(text)];
      for (const table of plans.flatMap(scans)) found.add(`${table} in ${text.trim().slice(0, 60)}`);
      const startedAt = performance.now();
      const rows = await queryable.query<Row>(text, values);
      ms += performance.now() - startedAt;
      return rows;
    },
  });
  const transaction: Database['transaction'] = (inner) =>
    database.transaction((each) => inner(watched(each)));
  await work({ ...database, ...watched(database), transaction });
  return { scans: [...found], ms };
}

type Explained = { 'QUERY PLAN': [{ Plan: Plan }] };

async function explainWith(text: string, values: readonly unknown[]): Promise<Plan> {
  const [row] = await ledger.database.query<Explained>(`EXPLAIN (FORMAT JSON) ${text}`, values);
  return row!['QUERY PLAN'][0].Plan;
}

async function explainGeneric(text: string): Promise<Plan> {
  return ledger.database.transaction(async (transaction) => {
    await transaction.query('SET LOCAL plan_cache_mode = force_generic_plan');
    await transaction.query(`PREPARE explained AS ${text}`);
    const count = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map((match) => Number(match[1])));
    const values = count === 0 ? '' : `(${Array.from({ length: count }, () => 'NULL').join(', ')})`;
    const [row] = await transaction.query<Explained>(`EXPLAIN (FORMAT JSON) EXECUTE explained${values}`);
    await transaction.query('DEALLOCATE explained');
    return row!['QUERY PLAN'][0].Plan;
  });
}

const filter = {
  tenantId: 'tenant-0',
  status: null,
  type: null,
  lane: null,
  metadata: {},
  createdAfter: null,
  createdBefore: null,
  after: null,
  before: null,
  limit: 20,
};

describe(`with ${JOBS} jobs and five times as many steps no statement of a hot path reads a whole table`, () => {
  const paths: Record<string, (database: Database) => Promise<unknown>> = {
    'accepting 50 jobs, some of them known': (database) =>
      acceptJobs(
        database,
        Array.from({ length: 50 }, (_, n) =>
          newJob(n % 10 ? {} : { tenantId: 'tenant-0', idempotencyKey: `key ${(n + 1) * 100}` }),
        ),
      ),
    'looking a key up': (database) => findAccepted(database, 'tenant-0', 'key 100'),
    'looking a job up': (database) => findJob(database, 'tenant-0', idOf(100)),
    'advancing a job': (database) => waitFor(database, waiting[0]!, ['fresh'], ['s4']),
    'claiming, sending and recording 64 steps': async (database) => {
      const steps = await claimSteps(
        database,
        waiting.map((jobId) => ({ jobId, key: 's3' })),
        'w',
        10_000,
      );
      expect(steps).toHaveLength(64);
      const sent = await markSent(
        database,
        steps.map((step) => departure(step)),
      );
      expect(sent.every((each) => each.verdict === 'go')).toBe(true);
      await renewClaims(database, steps, 10_000);
      const ends = steps.map((step) => outcome(step, completed(), attemptEnd(2, { usage: billed(1) })));
      expect((await recordOutcomes(database, ends)).every((each) => each.accepted)).toBe(true);
      // Refused this time, and so read on another path.
      await recordOutcomes(database, ends);
    },
    'cancelling a job': (database) => cancelJob(database, 'tenant-0', waiting[1]!),
    'finding and postponing what is overdue': async (database) => {
      await ledger.database.query(
        'UPDATE jobs SET wake_at = now() WHERE id BETWEEN $1 AND $2 AND wake_at IS NOT NULL',
        [idOf(90_000), idOf(91_000)],
      );
      await ledger.database.query(
        'UPDATE steps SET wake_at = now() WHERE job_id BETWEEN $1 AND $2 AND wake_at IS NOT NULL',
        [idOf(90_000), idOf(91_000)],
      );
      const overdue = await findOverdue(database, 1_000);
      expect(overdue.jobs.length).toBeGreaterThan(40);
      expect(overdue.steps.length).toBeGreaterThan(80);
      await postponeOverdue(database, overdue);
    },
    'finding what has waited for long, and raising it': async (database) => {
      await ledger.database.query(
        "UPDATE steps SET class_since = now() - interval '1 hour' WHERE job_id BETWEEN $1 AND $2 AND status = 'pending'",
        [idOf(90_000), idOf(91_000)],
      );
      const aged = await findAged(database, { standardMs: 600_000, backgroundMs: 600_000 }, 1_000);
      expect(aged.length).toBeGreaterThan(40);
      expect(await raiseAged(database, aged)).toBe(aged.length);
      await ledger.database.query("UPDATE steps SET priority = 'standard' WHERE priority = 'realtime'");
    },
    'giving holders a new lease': (database) => extendClaims(database, 1_000),
    'reading the events of a job': (database) => findEvents(database, idOf(500), 2, 100),
    'a page of jobs': (database) => listJobs(database, filter),
    'a page of jobs in the middle': (database) =>
      listJobs(database, { ...filter, after: idOf(50_000), status: 'failed' }),
    'a page of jobs in batches': (database) => listJobs(database, { ...filter, lane: 'batch' }),
    'a page of jobs in batches, backwards': (database) =>
      listJobs(database, { ...filter, lane: 'batch', before: idOf(50_000) }),
    'a page of jobs, backwards and filtered by metadata': (database) =>
      listJobs(database, {
        ...filter,
        before: idOf(50_000),
        metadata: { user: 'u40' },
        createdAfter: 1,
        type: 'call',
      }),
    'a page of steps with their attempts': (database) =>
      listSteps(database, { tenantId: 'tenant-0', jobId: idOf(4), after: 's1', limit: 10 }),
    'counting open jobs': (database) => countOpenJobs(database),
    'measuring the ledger': (database) => measureLedger(database),
    'measuring the backlog': async (database) => {
      const [reading] = await measureBacklog(database);
      expect(reading).toMatchObject({ pool: 'openai', priority: 'standard', due: reading!.waiting });
      expect(reading!.waiting).toBeGreaterThan(1_000);
      expect(reading!.arrivals).toHaveLength(11);
      expect(reading!.arrivals).toEqual(reading!.arrivals.toSorted((a, b) => a - b));
    },
    'finding what 20 jobs wait for': async (database) => {
      const others = Array.from({ length: 20 }, (_, index) => idOf(60_010 + index * 20));
      const found = await findOpenCalls(database, others);
      expect(found).toHaveLength(20);
      expect(found[0]).toMatchObject({ pool: 'openai', waiting: 1 });
      expect(found[0]!.firstAt).toBeGreaterThan(1.7e12);
    },
    'carrying 60 steps through a batch': async (database) => {
      await ledger.database.query(
        `UPDATE steps SET status = 'collected', lane = 'batch', shape = 's', wake_at = NULL, escape_at = now() + interval '1 day'
         WHERE key = 's2' AND job_id = ANY ($1)`,
        [batched],
      );
      const [group] = await findCollected(database);
      expect(group!.count).toBe(60);
      const { target } = group!;
      const candidates = await findCandidates(database, target, ['s'], 60);
      expect(candidates).toHaveLength(60);
      await tryShape(database, { target, shape: 's' });
      await settlePilots(database, 3, 1);
      const own = { id: 'pb_hot', provider: 'openai', model: 'm', target, owner: 'o', leaseMs: -1 };
      await openBatch(database, own);
      const [batch] = await claimBatches(database, 'o', 60_000, 5);
      const { bound } = await bindLines(
        database,
        batch!,
        candidates.map(({ jobId, key, fence }, line) => {
          const size = { worstCaseMicroUsd: 0, bytes: 1, inputTokens: 1 };
          return { jobId, key, fence, line, purpose: 'answer' as const, ...size };
        }),
      );
      expect(bound).toBe(59);
      expect(await findLines(database, 'pb_hot', 10, 200)).toHaveLength(49);
      expect(await isBatchWanted(database, 'pb_hot')).toBe(true);
      expect(await findUnwantedLines(database, 'pb_hot', 10)).toEqual([]);
      await ledger.database.query(
        "UPDATE steps SET escape_at = now() - interval '1 second' WHERE job_id = ANY ($1) AND key = 's2'",
        [batched.slice(50)],
      );
      expect((await escapeLateSteps(database, 500)).fromBatches).toBeGreaterThan(5);
      await ledger.database.query(
        "UPDATE provider_batches SET status = 'running', certain = true, line_count = 59, counts_total = 59, counts_completed = 59 WHERE id = 'pb_hot'",
      );
      // A job of two lines, of which the vendor has answered both.
      await ledger.database.query(
        `UPDATE steps SET status = 'sent', lane = 'batch', batch_id = 'pb_hot', wake_at = NULL WHERE job_id = $1 AND key = 's3'`,
        [batched[40]],
      );
      await ledger.database.query(
        `INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner, batch_id, batch_line)
         VALUES ($1, 's3', 9, 1, 'openai/any', 'answer', 'sent', 'pb_hot', 'pb_hot', 100)`,
        [batched[40]],
      );
      expect(await noteAnswered(database, { id: 'pb_hot' }, 200)).toHaveLength(1);
      const lines: OpenLine[] = [];
      for await (const page of loadLines(database, 'pb_hot', [1, 2, 3, 4, 5, 6, 7, 8])) lines.push(...page);
      expect(lines).toHaveLength(8);
      await recordOutcomes(
        database,
        lines.map(({ step, attempt }) =>
          outcome(step, completed(), attemptEnd(attempt, { usage: billed(1) })),
        ),
      );
      const release = { reason: 'batch_expired', message: 'm', batchTakesMs: 0, maxBatches: 2, delayMs: 0 };
      const open = await findOpenLines(database, 'pb_hot', 20, 10);
      const lost = { lines: open, countsBatch: true, maybeBilled: true };
      await releaseLines(database, { batchId: 'pb_hot', ...lost, ...release });
      await escapeBatch(database, 'pb_hot', 'batch_stuck', 500);
      await leaveLane(database, candidates.slice(20, 30), 'cost_cap');
      await countOpenLines(database, 'pb_hot');
      await endBatch(database, batch!, 'completed');
      await findBatchDurations(database);
      await measureBatches(database);
    },
    'waking everything': (database) => wakeEverything(database),
    pruning: (database) => pruneJobs(database, 19 * 86_400_000, 5),
  };
  for (const [name, work] of Object.entries(paths)) {
    it(`when ${name}`, async () => {
      const explained = await explain(work);
      if (process.env['TEST_TIMINGS']) console.log(`${name}: ${explained.ms.toFixed(1)} ms`);
      expect(explained.scans).toEqual([]);
    });
  }
});
