import { jobErrorSchema, jsonSchema, planNodeSchema } from '@millrace/contracts';
import type { JobError, Json, PlanNode, Priority, StepRequest } from '@millrace/contracts';
import { z } from 'zod';
import type { Database, Queryable } from '../database.ts';
import { appendEvents } from './append-events.ts';
import type { StoredEvent } from './append-events.ts';
import { finishJob } from './finish-job.ts';
import type { Ending, FinishedJob } from './finish-job.ts';

/** A step of the job as the ledger has it. `ordinal` numbers the endings 1, 2, 3 … in the order they were recorded. */
export interface RecordedStep {
  key: string;
  status: 'open' | 'completed' | 'failed';
  output: Json | null;
  error: JobError | null;
  ordinal: number | null;
}

/** What the plan is decided from. */
export interface JobState {
  jobId: string;
  priority: Priority;
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
}

/** `wait`: insert these steps, give up those, and wait for the rest. `finish`: the job ends. */
export type AdvanceDecision =
  { kind: 'wait'; steps: NewStep[]; abandoned: string[] } | ({ kind: 'finish' } & Ending);

/** What an advance leaves to do outside the ledger. */
export interface AdvanceResult {
  outcome: 'gone' | 'waiting' | 'finished';
  priority: Priority;
  steps: { key: string; pool: string; fence: number }[];
  events: StoredEvent[];
  deliveryIds: string[];
  abandoned: string[];
  finished: FinishedJob | null;
}

const LOCK = `
SELECT id, status, priority, content, started_at, deadline_at <= now() AS late FROM jobs
WHERE id = $1 AND finished_at IS NULL FOR NO KEY UPDATE`;

const LOAD_STEPS = `SELECT key, status, output, error, ordinal FROM steps WHERE job_id = $1`;

const INSERT_STEPS = `
INSERT INTO steps (job_id, key, barrier, priority, route, target, pool, request, wake_at)
SELECT $1, key, barrier, $2, route, target, pool, request::json, now() + interval '10 seconds'
FROM json_to_recordset($3) AS j (key text, barrier text, route text, target text, pool text, request text)
ON CONFLICT (job_id, key) DO NOTHING
RETURNING key, pool`;

const GIVE_UP_STEPS = `
WITH open AS (
  SELECT job_id, key FROM steps
  WHERE job_id = $1 AND key = ANY ($2) AND status IN ('pending', 'collected', 'claimed', 'sent', 'held')
  ORDER BY key FOR NO KEY UPDATE
)
UPDATE steps s SET status = 'cancelled', wake_at = NULL, finished_at = now()
FROM open WHERE s.job_id = open.job_id AND s.key = open.key`;

const WAIT = `
UPDATE jobs SET
  status = CASE WHEN EXISTS (SELECT FROM steps WHERE job_id = $1 AND status = 'held') THEN 'requires_action' ELSE 'in_progress' END,
  started_at = coalesce(started_at, now()),
  steps_known = (SELECT count(*) FROM steps WHERE job_id = $1 AND status <> 'cancelled'),
  steps_open = (SELECT count(*) FROM steps WHERE job_id = $1 AND status NOT IN ('completed', 'failed', 'cancelled')),
  wake_at = deadline_at, wake_count = 0
WHERE id = $1 RETURNING steps_open`;

const contentSchema = z.object({
  plan: planNodeSchema,
  input: jsonSchema.optional(),
  params: z.record(z.string(), jsonSchema).default({}),
});

/**
 * Carries a job on in one transaction: locks it, shows `decide` the recorded steps, and writes what it decided: new
 * steps (unique on job and key, so that two advancers do no harm) or the end. A job past its deadline expires without
 * asking; one that waits while no step is open fails. `gone` when the job has ended or does not exist.
 */
export async function advanceJob(
  database: Database,
  jobId: string,
  decide: (state: JobState) => Promise<AdvanceDecision>,
): Promise<AdvanceResult> {
  return database.transaction(async (transaction) => {
    const [job] = await transaction.query<{
      priority: Priority;
      content: unknown;
      started_at: number | null;
      late: boolean | null;
    }>(LOCK, [jobId]);
    if (!job) return nothing('gone', 'standard');
    const decision = job.late
      ? expired()
      : await decide({
          jobId,
          priority: job.priority,
          ...toPlan(job.content),
          steps: await loadSteps(transaction, jobId),
        });
    if (decision.kind === 'finish') {
      const finished = await finishJob(transaction, jobId, decision);
      return { ...nothing('finished', job.priority), ...finished, finished };
    }
    const inserted = await insertSteps(transaction, jobId, job.priority, decision.steps);
    if (decision.abandoned.length > 0) await transaction.query(GIVE_UP_STEPS, [jobId, decision.abandoned]);
    const [waiting] = await transaction.query<{ steps_open: number }>(WAIT, [jobId]);
    if (waiting?.steps_open === 0) {
      const finished = await finishJob(transaction, jobId, waitsForNothing());
      return { ...nothing('finished', job.priority), ...finished, finished };
    }
    const events =
      job.started_at === null
        ? await appendEvents(transaction, [{ jobId, type: 'job.started', data: {} }])
        : [];
    return { ...nothing('waiting', job.priority), steps: inserted, events, abandoned: decision.abandoned };
  });
}

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

async function loadSteps(transaction: Queryable, jobId: string): Promise<Map<string, RecordedStep>> {
  const rows = await transaction.query<{
    key: string;
    status: string;
    output: unknown;
    error: unknown;
    ordinal: number | null;
  }>(LOAD_STEPS, [jobId]);
  return new Map(
    rows.map((row) => [
      row.key,
      {
        key: row.key,
        status: row.status === 'completed' || row.status === 'failed' ? row.status : 'open',
        output: row.output === null ? null : jsonSchema.parse(row.output),
        error: row.error === null ? null : jobErrorSchema.parse(row.error),
        ordinal: row.ordinal,
      },
    ]),
  );
}

async function insertSteps(
  transaction: Queryable,
  jobId: string,
  priority: Priority,
  steps: readonly NewStep[],
): Promise<AdvanceResult['steps']> {
  if (steps.length === 0) return [];
  const rows = await transaction.query<{ key: string; pool: string }>(INSERT_STEPS, [
    jobId,
    priority,
    JSON.stringify(
      steps.map((step) => ({ ...step, route: step.request.route, request: JSON.stringify(step.request) })),
    ),
  ]);
  return rows.map((row) => ({ ...row, fence: 0 }));
}
