import { formatUsd } from '@millrace/contracts';
import type { JobObject } from '@millrace/contracts';
import type { JobRecord } from './job-row.ts';

/** What the ledger does not know about a job that waits; null where it cannot be told. */
export interface JobForecast {
  queuePosition: number | null;
  etaSeconds: number | null;
}

const NO_FORECAST: JobForecast = { queuePosition: null, etaSeconds: null };

/** A job as the API and the webhooks show it: instants in RFC 3339, money as decimal strings. */
export function toJobObject(record: JobRecord, forecast: JobForecast = NO_FORECAST): JobObject {
  return {
    id: record.id,
    object: 'job',
    // Written by the intake, which accepts these types only.
    type: record.type as JobObject['type'],
    status: record.status,
    created_at: toInstant(record.createdAt),
    started_at: record.startedAt === null ? null : toInstant(record.startedAt),
    finished_at: record.finishedAt === null ? null : toInstant(record.finishedAt),
    deadline_at: record.deadlineAt === null ? null : toInstant(record.deadlineAt),
    priority: record.priority,
    lane: record.lane,
    on_late: record.onLate,
    progress: {
      steps_done: record.stepsDone,
      steps_answered: record.stepsAnswered,
      steps_known: record.stepsKnown,
      queue_position: forecast.queuePosition,
      eta_seconds: forecast.etaSeconds,
    },
    degraded: record.degraded,
    output: record.output,
    error: record.error,
    usage: {
      input_tokens: record.inputTokens,
      cached_input_tokens: record.cachedInputTokens,
      output_tokens: record.outputTokens,
      reasoning_tokens: record.reasoningTokens,
      calls: record.calls,
      ambiguous_calls: record.ambiguousCalls,
    },
    cost_usd: formatUsd(record.costMicroUsd),
    max_cost_usd: record.maxCostMicroUsd === null ? null : formatUsd(record.maxCostMicroUsd),
    metadata: record.metadata,
    erased: record.erasedAt !== null,
  };
}

function toInstant(at: number): string {
  return new Date(at).toISOString();
}
