import { jobErrorSchema, jsonSchema } from '@millrace/contracts';
import type { JobError, JobStatus, Json, LaneChoice, LatePolicy, Priority } from '@millrace/contracts';

/** A job as the ledger shows it to the API: everything but the plan. Instants are milliseconds since 1970. */
export interface JobRecord {
  id: string;
  tenantId: string;
  type: string;
  status: JobStatus;
  priority: Priority;
  lane: LaneChoice;
  onLate: LatePolicy;
  metadata: Record<string, string>;
  deadlineAt: number | null;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  stepsKnown: number;
  stepsDone: number;
  /** Those done, and those that providers are known to have answered in batches that are not read yet. */
  stepsAnswered: number;
  maxCostMicroUsd: number | null;
  costMicroUsd: number;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  calls: number;
  ambiguousCalls: number;
  degraded: boolean;
  output: Json | null;
  error: JobError | null;
  erasedAt: number | null;
}

/** The columns of {@link JobRecord}, for a SELECT from `jobs`. */
export const jobColumns = `id, tenant_id, type, status, priority, lane, on_late, metadata, deadline_at, created_at, started_at,
  finished_at, steps_known, steps_done, greatest(steps_answered, steps_done) AS steps_answered, max_cost_micro_usd, cost_micro_usd, input_tokens, cached_input_tokens,
  output_tokens, reasoning_tokens, calls, ambiguous_calls, degraded, output, error, erased_at`;

/** A row of {@link jobColumns} as the driver gives it. */
export interface JobRow {
  id: string;
  tenant_id: string;
  type: string;
  status: JobStatus;
  priority: Priority;
  lane: LaneChoice;
  on_late: LatePolicy;
  metadata: Record<string, string>;
  deadline_at: number | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  steps_known: number;
  steps_done: number;
  steps_answered: number;
  max_cost_micro_usd: number | null;
  cost_micro_usd: number;
  input_tokens: number;
  cached_input_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  calls: number;
  ambiguous_calls: number;
  degraded: boolean;
  output: unknown;
  error: unknown;
  erased_at: number | null;
}

/** Maps a row; JSON columns are outside data and are parsed here. */
export function toJobRecord(row: JobRow): JobRecord {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    type: row.type,
    status: row.status,
    priority: row.priority,
    lane: row.lane,
    onLate: row.on_late,
    metadata: row.metadata,
    deadlineAt: row.deadline_at,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    stepsKnown: row.steps_known,
    stepsDone: row.steps_done,
    stepsAnswered: row.steps_answered,
    maxCostMicroUsd: row.max_cost_micro_usd,
    costMicroUsd: row.cost_micro_usd,
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    outputTokens: row.output_tokens,
    reasoningTokens: row.reasoning_tokens,
    calls: row.calls,
    ambiguousCalls: row.ambiguous_calls,
    degraded: row.degraded,
    output: row.output === null ? null : jsonSchema.parse(row.output),
    error: row.error === null ? null : jobErrorSchema.parse(row.error),
    erasedAt: row.erased_at,
  };
}
