import { jobErrorSchema, jsonSchema, planNodeSchema } from '@millrace/contracts';
import type {
  Charge,
  Degradation,
  JobError,
  Json,
  Lane,
  LaneChoice,
  PlanNode,
  Priority,
  StepRequest,
} from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { z } from 'zod';
import type { Database, Queryable } from '../database.ts';
import { appendEvents } from './append-events.ts';
import type { StoredEvent } from './append-events.ts';
import { finishJobs } from './finish-job.ts';
import type { Ending, FinishedJob } from './finish-job.ts';

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

/** A step that the plan wants, with the target that was chosen for it. */
export interface NewStep {
  key: string;
  request: StepRequest;
  /** The node that waits for this step and its siblings together; null when the step's end alone lets the plan go on. */
  barrier: string | null;
  target: string;
  pool: string;
  /** What the call is expected to take of its pool, input and output; for the order between tenants. */
  estimatedTokens?: number;
  /** Absent: realtime. A step of the batch lane is `collected`, and nobody wakes it. */
  placement?: Placement;
  /** Set when the target is not one that the step's route wants, but its last resort. */
  degraded?: Degradation | null;
  /** What identical requests have in common; absent where nobody will ask. */
  requestHash?: string | null;
}

/** How a step is to be served, and why. */
export interface Placement {
  lane: Lane;
  reason: string;
  /** When the step leaves the batch lane, answered or not (milliseconds since 1970); null: only with its batch. */
  escapeAt: number | null;
  /** Fingerprint of what a provider could refuse about the request. */
  shape: string | null;
}

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

const LOCK = `
SELECT id, priority, lane, content, started_at, deadline_at, deadline_at <= now() AS late,
  (SELECT t.batch_allowed FROM tenants t WHERE t.id = jobs.tenant_id) AS batch_allowed,
  tenant_id, (SELECT t.tier FROM tenants t WHERE t.id = jobs.tenant_id) AS tier FROM jobs
WHERE id = ANY ($1) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE`;

const LOAD_STEPS = `
SELECT job_id, key, status, output, error, ordinal, mean_logprob FROM steps WHERE job_id = ANY ($1)`;

const INSERT_STEPS = `
INSERT INTO steps (job_id, key, barrier, priority, route, target, pool, request, estimated_tokens, lane, lane_reason, escape_at, shape,
  degraded, request_hash, status, wake_at)
SELECT job_id, key, barrier, priority, route, target, pool, request::json, coalesce("estimatedTokens", 1000),
  coalesce(lane, 'realtime'), lane_reason,
  to_timestamp(escape_at / 1000), shape, degraded, "requestHash", CASE WHEN lane = 'batch' THEN 'collected' ELSE 'pending' END,
  CASE WHEN lane = 'batch' THEN NULL ELSE now() + interval '10 seconds' END
FROM json_to_recordset($1) AS j (
  job_id text, key text, barrier text, priority text, route text, target text, pool text, request text, lane text,
  "estimatedTokens" int, lane_reason text, escape_at float8, shape text, degraded text, "requestHash" text)
ON CONFLICT (job_id, key) DO NOTHING
RETURNING job_id, key, pool, estimated_tokens, status = 'collected' AS collected`;

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
    bool_or(status = 'held') AS holds
  FROM steps WHERE job_id = ANY ($1) GROUP BY job_id
)
UPDATE jobs SET
  status = CASE WHEN c.holds THEN 'requires_action' ELSE 'in_progress' END,
  started_at = coalesce(started_at, now()), steps_known = coalesce(c.known, 0), steps_open = coalesce(c.open, 0),
  wake_at = deadline_at, wake_count = 0
FROM unnest($1::text[]) AS w (id) LEFT JOIN counted c ON c.job_id = w.id
WHERE jobs.id = w.id RETURNING jobs.id, steps_open`;

const contentSchema = z.object({
  plan: planNodeSchema,
  input: jsonSchema.optional(),
  params: z.record(z.string(), jsonSchema).default({}),
});

/**
 * Carries jobs on in one transaction: locks them, shows `decide` the recorded steps of each, and writes what it decided:
 * new steps (unique on job and key, so that two advancers do no harm) or the end. A job past its deadline expires without
 * asking; one that waits while no step is open fails. `gone` when a job has ended or does not exist. The results are in
 * the order of the ids, which must be distinct; when `decide` throws for one job, nothing is written for any.
 */
export async function advanceJobs(
  database: Database,
  jobIds: readonly string[],
  decide: (state: JobState) => Promise<AdvanceDecision>,
): Promise<AdvanceResult[]> {
  return database.transaction(async (transaction) => {
    const jobs = await transaction.query<LockedJob>(LOCK, [jobIds]);
    const steps = await loadSteps(
      transaction,
      jobs.map((job) => job.id),
    );
    const waits = new Map<LockedJob, AdvanceDecision & { kind: 'wait' }>();
    const endings = new Map<string, Ending>();
    for (const job of jobs) {
      const state = () => ({
        jobId: job.id,
        priority: job.priority,
        lane: job.lane,
        deadlineAt: job.deadline_at,
        batchAllowed: job.batch_allowed ?? true,
        ...toPlan(job.content),
        steps: stepsOf(steps, job),
      });
      const decision = job.late ? expired() : await decide(state());
      if (decision.kind === 'finish') endings.set(job.id, decision);
      else waits.set(job, decision);
    }
    const inserted = await insertSteps(transaction, waits);
    for (const step of inserted) crashPoint('advance.inserted', step.job_id);
    await giveUpSteps(transaction, waits);
    for (const jobId of await wait(transaction, waits)) endings.set(jobId, waitsForNothing());
    const fresh = [...waits.keys()].filter((job) => job.started_at === null && !endings.has(job.id));
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
            charge: { tenantId: job.tenant_id, tier: job.tier, tokens: estimated_tokens, aged: false },
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

interface LockedJob {
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

type Waits = ReadonlyMap<LockedJob, AdvanceDecision & { kind: 'wait' }>;

function nothing(outcome: AdvanceResult['outcome'], priority: Priority): AdvanceResult {
  return { outcome, priority, steps: [], events: [], deliveryIds: [], abandoned: [], finished: null };
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

function toPlan(content: unknown): Pick<JobState, 'plan' | 'input' | 'params'> {
  const parsed = contentSchema.parse(content);
  return { plan: parsed.plan, input: parsed.input, params: parsed.params };
}

interface StepRow {
  job_id: string;
  key: string;
  status: string;
  output: unknown;
  error: unknown;
  ordinal: number | null;
  mean_logprob: number | null;
}

async function loadSteps(transaction: Queryable, jobIds: readonly string[]): Promise<Map<string, StepRow[]>> {
  if (jobIds.length === 0) return new Map();
  return Map.groupBy(await transaction.query<StepRow>(LOAD_STEPS, [jobIds]), (row) => row.job_id);
}

function stepsOf(rows: ReadonlyMap<string, StepRow[]>, job: LockedJob): Map<string, RecordedStep> {
  return new Map(
    (rows.get(job.id) ?? []).map((row) => [
      row.key,
      {
        key: row.key,
        status: row.status === 'completed' || row.status === 'failed' ? row.status : 'open',
        output: row.output === null ? null : jsonSchema.parse(row.output),
        error: row.error === null ? null : jobErrorSchema.parse(row.error),
        ordinal: row.ordinal,
        ...(row.mean_logprob === null ? {} : { meanLogprob: row.mean_logprob }),
      },
    ]),
  );
}

async function insertSteps(
  transaction: Queryable,
  waits: Waits,
): Promise<{ job_id: string; key: string; pool: string; estimated_tokens: number; collected: boolean }[]> {
  const rows = [...waits].flatMap(([job, { steps }]) =>
    steps.map(({ placement, ...step }) => ({
      job_id: job.id,
      priority: job.priority,
      ...step,
      lane: placement?.lane,
      lane_reason: placement?.reason,
      escape_at: placement?.escapeAt,
      shape: placement?.shape,
      route: step.request.route,
      request: JSON.stringify(step.request),
    })),
  );
  return rows.length === 0 ? [] : transaction.query(INSERT_STEPS, [JSON.stringify(rows)]);
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
