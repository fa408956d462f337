import { jobErrorSchema, jsonSchema, planNodeSchema } from '@millrace/contracts';
import type { JobError, Json, LaneChoice, PlanNode, Priority } from '@millrace/contracts';
import { z } from 'zod';
import type { Queryable } from '../database.ts';

/** A step of the job as the ledger has it. `ordinal` numbers the endings 1, 2, 3 … in the order they were recorded. */
export interface RecordedStep {
  key: string;
  status: 'open' | 'completed' | 'failed';
  output: Json | null;
  error: JobError | null;
  ordinal: number | null;
  /** Mean log probability of the answer's tokens; absent when it was not asked for or not told. */
  meanLogprob?: number;
}

/** What the plan is decided from. */
export interface JobState {
  jobId: string;
  priority: Priority;
  lane: LaneChoice;
  /** Milliseconds since 1970, null without one. */
  deadlineAt: number | null;
  /** False where the tenant forbids provider batches. */
  batchAllowed: boolean;
  plan: PlanNode;
  input: Json | undefined;
  params: Record<string, Json>;
  steps: ReadonlyMap<string, RecordedStep>;
}

/** A job that has not ended; its row is locked until the transaction is over. */
export interface LockedJob {
  id: string;
  tenantId: string;
  tier: string;
  priority: Priority;
  isStarted: boolean;
  /** Its deadline has passed. */
  isLate: boolean;
  /** A step of it has ended, and not after its deadline. */
  endedInTime: boolean;
  /** Parses what is stored, and throws where that is not a plan. Steps that ended after the deadline are shown as open. */
  readState: () => JobState;
}

const LOCK = `
SELECT id, priority, lane, content, started_at, deadline_at, deadline_at <= now() AS late,
  (SELECT t.batch_allowed FROM tenants t WHERE t.id = jobs.tenant_id) AS batch_allowed,
  tenant_id, (SELECT t.tier FROM tenants t WHERE t.id = jobs.tenant_id) AS tier FROM jobs
WHERE id = ANY ($1) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE`;

const LOAD_STEPS = `
SELECT job_id, key, status, output, error, ordinal, mean_logprob, finished_at FROM steps WHERE job_id = ANY ($1)`;

const contentSchema = z.object({
  plan: planNodeSchema,
  input: jsonSchema.optional(),
  params: z.record(z.string(), jsonSchema).default({}),
});

/**
 * Locks those of the jobs that have not ended, in the order of their ids so that two transactions never wait for each
 * other in a circle, and loads their steps.
 */
export async function lockJobs(transaction: Queryable, jobIds: readonly string[]): Promise<LockedJob[]> {
  const jobs = await transaction.query<JobRow>(LOCK, [jobIds]);
  const steps = await loadSteps(
    transaction,
    jobs.map((job) => job.id),
  );
  return jobs.map((job) => ({
    id: job.id,
    tenantId: job.tenant_id,
    tier: job.tier,
    priority: job.priority,
    isStarted: job.started_at !== null,
    isLate: job.late ?? false,
    endedInTime: (steps.get(job.id) ?? []).some((step) => endedInTime(job, step)),
    readState: () => toState(job, steps.get(job.id) ?? []),
  }));
}

interface JobRow {
  id: string;
  priority: Priority;
  lane: LaneChoice;
  content: unknown;
  started_at: number | null;
  deadline_at: number | null;
  batch_allowed: boolean | null;
  tenant_id: string;
  tier: string;
  late: boolean | null;
}

interface StepRow {
  job_id: string;
  key: string;
  status: string;
  output: unknown;
  error: unknown;
  ordinal: number | null;
  mean_logprob: number | null;
  finished_at: number | null;
}

async function loadSteps(transaction: Queryable, jobIds: readonly string[]): Promise<Map<string, StepRow[]>> {
  if (jobIds.length === 0) return new Map();
  return Map.groupBy(await transaction.query<StepRow>(LOAD_STEPS, [jobIds]), (row) => row.job_id);
}

function toState(job: JobRow, steps: readonly StepRow[]): JobState {
  const { plan, input, params } = contentSchema.parse(job.content);
  return {
    jobId: job.id,
    priority: job.priority,
    lane: job.lane,
    deadlineAt: job.deadline_at,
    batchAllowed: job.batch_allowed ?? true,
    plan,
    input,
    params,
    steps: new Map(steps.map((row) => [row.key, toRecordedStep(job, row)])),
  };
}

function endedInTime(job: JobRow, { status, finished_at: finishedAt }: StepRow): boolean {
  return (
    (status === 'completed' || status === 'failed') && (finishedAt ?? 0) <= (job.deadline_at ?? Infinity)
  );
}

function toRecordedStep(job: JobRow, row: StepRow): RecordedStep {
  const { key } = row;
  if (!endedInTime(job, row)) return { key, status: 'open', output: null, error: null, ordinal: null };
  return {
    key,
    status: row.status === 'completed' ? 'completed' : 'failed',
    output: row.output === null ? null : jsonSchema.parse(row.output),
    error: row.error === null ? null : jobErrorSchema.parse(row.error),
    ordinal: row.ordinal,
    ...(row.mean_logprob === null ? {} : { meanLogprob: row.mean_logprob }),
  };
}
