import { toJobObject } from '@millrace/ledger';
import type { JobForecast, JobRecord, NewJob } from '@millrace/ledger';
import type { JobObject } from '@millrace/contracts';

/** The object of a job that was committed this instant: what the ledger would answer, without asking it. */
export function newJobObject(job: NewJob, createdAt: number, forecast: JobForecast): JobObject {
  const record: JobRecord = {
    id: job.id,
    tenantId: job.tenantId,
    type: job.type,
    status: 'queued',
    priority: job.priority,
    lane: job.lane,
    onLate: job.onLate ?? 'best_effort',
    metadata: job.metadata,
    deadlineAt: job.deadlineAt,
    createdAt,
    startedAt: null,
    finishedAt: null,
    stepsKnown: 0,
    stepsDone: 0,
    stepsAnswered: 0,
    maxCostMicroUsd: job.maxCostMicroUsd,
    costMicroUsd: 0,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    calls: 0,
    ambiguousCalls: 0,
    degraded: false,
    output: null,
    error: null,
    erasedAt: null,
  };
  return toJobObject(record, forecast);
}
