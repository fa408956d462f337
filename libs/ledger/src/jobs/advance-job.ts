import type { Charge, Priority } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import type { Database, Queryable } from '../database.ts';
import { appendEvents } from './append-events.ts';
import type { StoredEvent } from './append-events.ts';
import { finishJobs } from './finish-job.ts';
import type { Ending, FinishedJob } from './finish-job.ts';
import { insertSteps } from './insert-steps.ts';
import type { NewStep } from './insert-steps.ts';
import { lockJobs } from './lock-jobs.ts';
import type { JobState, LockedJob } from './lock-jobs.ts';

/** `wait`: insert these steps, give up those, and wait for the rest. `finish`: the job ends. */
export type AdvanceDecision =
  { kind: 'wait'; steps: NewStep[]; abandoned: string[] } | ({ kind: 'finish' } & Ending);

/** What an advance leaves to do outside the ledger. */
export interface AdvanceResult {
  outcome: 'gone' | 'waiting' | 'finished';
  priority: Priority;
  steps: { key: string; pool: string; fence: number; charge: Charge }[];
  events: StoredEvent[];
  deliveryIds: string[];
  abandoned: string[];
  finished: FinishedJob | null;
}

const GIVE_UP_STEPS = `
WITH open AS (
  SELECT s.job_id, s.key FROM steps s JOIN unnest($1::text[], $2::text[]) AS a (job_id, key) USING (job_id, key)
  WHERE s.status IN ('pending', 'collected', 'claimed', 'sent', 'held')
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s
)
UPDATE steps s SET status = 'cancelled', wake_at = NULL, finished_at = now()
FROM open WHERE s.job_id = open.job_id AND s.key = open.key`;

const WAIT = `
WITH counted AS (
  SELECT job_id, count(*) FILTER (WHERE status <> 'cancelled')::int AS known,
    count(*) FILTER (WHERE status NOT IN ('completed', 'failed', 'cancelled'))::int AS open,
    bool_or(status = 'held') AS holds, bool_or(lane = 'batch') AS in_batch
  FROM steps WHERE job_id = ANY ($1) GROUP BY job_id
)
UPDATE jobs SET
  status = CASE WHEN c.holds THEN 'requires_action' ELSE 'in_progress' END,
  started_at = coalesce(started_at, now()), steps_known = coalesce(c.known, 0), steps_open = coalesce(c.open, 0),
  placed_in_batch = placed_in_batch OR coalesce(c.in_batch, false),
  wake_at = deadline_at, wake_count = 0
FROM unnest($1::text[]) AS w (id) LEFT JOIN counted c ON c.job_id = w.id
WHERE jobs.id = w.id RETURNING jobs.id, steps_open`;

/**
 * Carries jobs on in one transaction: locks them, shows `decide` the recorded steps of each, and writes what it decided:
 * new steps (unique on job and key, so that two advancers do no harm) or the end. A job past its deadline expires, unless the
 * steps that ended in time are its end: who recorded them may have come late to this. One that waits while no step is open fails. `gone` when a job has ended or does not exist. The results are in
 * the order of the ids, which must be distinct; when `decide` throws for one job, nothing is written for any.
 */
export async function advanceJobs(
  database: Database,
  jobIds: readonly string[],
  decide: (state: JobState) => Promise<AdvanceDecision>,
): Promise<AdvanceResult[]> {
  return database.transaction(async (transaction) => {
    const jobs = await lockJobs(transaction, jobIds);
    const waits = new Map<LockedJob, AdvanceDecision & { kind: 'wait' }>();
    const endings = new Map<string, Ending>();
    for (const job of jobs) {
      const decision = job.isLate ? await endLate(job, decide) : await decide(job.readState());
      if (decision.kind === 'finish') endings.set(job.id, decision);
      else waits.set(job, decision);
    }
    const inserted = await insertSteps(transaction, waits);
    for (const step of inserted) crashPoint('advance.inserted', step.job_id);
    await giveUpSteps(transaction, waits);
    for (const jobId of await wait(transaction, waits)) endings.set(jobId, waitsForNothing());
    const fresh = [...waits.keys()].filter((job) => !job.isStarted && !endings.has(job.id));
    const started = await appendEvents(
      transaction,
      fresh.map((job) => ({ jobId: job.id, type: 'job.started', data: {} })),
    );
    const finished = await finishJobs(transaction, endings);
    const byId = new Map(jobs.map((job) => [job.id, job]));
    return jobIds.map((jobId) => {
      const job = byId.get(jobId);
      if (!job) return nothing('gone', 'standard');
      const end = finished.get(jobId);
      if (end) return { ...nothing('finished', job.priority), ...end, finished: end };
      return {
        ...nothing('waiting', job.priority),
        steps: inserted
          .filter((step) => step.job_id === jobId && !step.collected)
          .map(({ key, pool, estimated_tokens }) => ({
            key,
            pool,
            fence: 0,
            charge: { tenantId: job.tenantId, tier: job.tier, tokens: estimated_tokens, aged: false },
          })),
        events: started.filter((event) => event.jobId === jobId),
        abandoned: waits.get(job)?.abandoned ?? [],
      };
    });
  });
}

/** {@link advanceJobs} for one job. */
export async function advanceJob(
  database: Database,
  jobId: string,
  decide: (state: JobState) => Promise<AdvanceDecision>,
): Promise<AdvanceResult> {
  const [result] = await advanceJobs(database, [jobId], decide);
  return result ?? nothing('gone', 'standard');
}

type Waits = ReadonlyMap<LockedJob, AdvanceDecision & { kind: 'wait' }>;

function nothing(outcome: AdvanceResult['outcome'], priority: Priority): AdvanceResult {
  return { outcome, priority, steps: [], events: [], deliveryIds: [], abandoned: [], finished: null };
}

async function endLate(
  job: LockedJob,
  decide: (state: JobState) => Promise<AdvanceDecision>,
): Promise<AdvanceDecision> {
  const decision = job.endedInTime ? await decide(job.readState()) : null;
  return decision?.kind === 'finish' ? decision : expired();
}

function expired(): { kind: 'finish' } & Ending {
  const error = { code: 'deadline_exceeded', message: 'The deadline passed before the work was done.' };
  return { kind: 'finish', status: 'expired', output: null, error };
}

/** Nothing would ever wake such a job again: a mistake in the plan's interpreter must be seen, not waited for. */
function waitsForNothing(): { kind: 'finish' } & Ending {
  const error = { code: 'internal_error', message: 'The plan waits, and no step of it is open.' };
  return { kind: 'finish', status: 'failed', output: null, error };
}

async function giveUpSteps(transaction: Queryable, waits: Waits): Promise<void> {
  const given = [...waits].flatMap(([job, { abandoned }]) =>
    abandoned.map((key) => ({ jobId: job.id, key })),
  );
  if (given.length === 0) return;
  await transaction.query(GIVE_UP_STEPS, [given.map((each) => each.jobId), given.map((each) => each.key)]);
}

/** Counts the steps of waiting jobs, and returns the jobs that nothing would ever wake. */
async function wait(transaction: Queryable, waits: Waits): Promise<string[]> {
  if (waits.size === 0) return [];
  const rows = await transaction.query<{ id: string; steps_open: number }>(WAIT, [
    [...waits.keys()].map((job) => job.id),
  ]);
  return rows.filter((row) => row.steps_open === 0).map((row) => row.id);
}
