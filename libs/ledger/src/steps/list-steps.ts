import { jobErrorSchema, jsonSchema } from '@millrace/contracts';
import type { Degradation, JobError, Json, Lane, StepStatus } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { cutToBytes, readPage } from '../read-page.ts';

/** One sending of a step. Instants are milliseconds since 1970. */
export interface AttemptRecord {
  number: number;
  /** The claim's fence: the call was sent under the name `job/step#fence`, unless it was a line of a provider batch. */
  fence: number;
  /** The line's name (`custom_id`) in a provider batch; null for a call of its own. */
  lineName: string | null;
  target: string;
  purpose: 'answer' | 'repair';
  status: 'sent' | 'completed' | 'failed' | 'ambiguous' | 'interrupted' | 'cancelled';
  sentAt: number;
  firstTokenAt: number | null;
  finishedAt: number | null;
  providerRequestId: string | null;
  httpStatus: number | null;
  errorCode: string | null;
  errorMessage: string | null;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  costMicroUsd: number;
}

/** A step with its attempts, as the API lists it. */
export interface StepRecord {
  key: string;
  status: StepStatus;
  lane: Lane;
  laneReason: string | null;
  batchId: string | null;
  route: string | null;
  target: string;
  ambiguous: boolean;
  degraded: Degradation | null;
  output: Json | null;
  error: JobError | null;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  calls: number;
  ambiguousCalls: number;
  costMicroUsd: number;
  attempts: AttemptRecord[];
}

const LIST_STEPS = cutToBytes(
  `
SELECT s.key, s.status, s.lane, s.lane_reason AS "laneReason", s.batch_id AS "batchId", s.route, s.target, s.ambiguous, s.degraded, s.output, s.error, s.created_at AS "createdAt",
  s.started_at AS "startedAt", s.finished_at AS "finishedAt", s.input_tokens AS "inputTokens",
  s.cached_input_tokens AS "cachedInputTokens", s.output_tokens AS "outputTokens",
  s.reasoning_tokens AS "reasoningTokens", s.calls, s.ambiguous_calls AS "ambiguousCalls",
  s.cost_micro_usd AS "costMicroUsd"
FROM steps s JOIN jobs j ON j.id = s.job_id
WHERE s.job_id = $1 AND j.tenant_id = $2
  AND ($3::text IS NULL OR (s.created_at, s.key) > (SELECT c.created_at, c.key FROM steps c WHERE c.job_id = $1 AND c.key = $3))
ORDER BY s.created_at, s.key LIMIT $4`,
  '"createdAt", key',
);

const LIST_ATTEMPTS = `
SELECT a.step_key AS "stepKey", a.number, a.fence, a.batch_id || '_' || a.batch_line AS "lineName", a.target, a.purpose, a.status, a.sent_at AS "sentAt",
  a.first_token_at AS "firstTokenAt", a.finished_at AS "finishedAt", a.provider_request_id AS "providerRequestId",
  a.http_status AS "httpStatus", a.error_code AS "errorCode", a.error_message AS "errorMessage",
  coalesce(u.input_tokens, 0) AS "inputTokens", coalesce(u.cached_input_tokens, 0) AS "cachedInputTokens",
  coalesce(u.output_tokens, 0) AS "outputTokens", coalesce(u.reasoning_tokens, 0) AS "reasoningTokens",
  coalesce(u.cost_micro_usd, 0) AS "costMicroUsd"
FROM attempts a
LEFT JOIN usage u ON u.job_id = a.job_id AND u.step_key = a.step_key AND u.attempt = a.number
WHERE a.job_id = $1 AND a.step_key = ANY ($2) ORDER BY a.step_key, a.number`;

/**
 * One page of a job's steps in the order they were made, with every attempt; it may be shorter than `limit`, see
 * {@link cutToBytes}. `after` is a step key; `isAfterKnown` is false when the job has no such step. Empty for a job of another
 * tenant: look the job up first to tell the two apart.
 */
export async function listSteps(
  database: Queryable,
  page: { tenantId: string; jobId: string; after: string | null; limit: number },
): Promise<{ steps: StepRecord[]; hasMore: boolean; isAfterKnown: boolean }> {
  const { rows, hasMore } = await readPage<Omit<StepRecord, 'attempts'>>(
    database,
    LIST_STEPS,
    [page.jobId, page.tenantId, page.after],
    page.limit,
  );
  // Behind an unknown step there is nothing; there is nothing behind the last one either.
  if (rows.length === 0) return { steps: [], hasMore: false, isAfterKnown: await hasStep(database, page) };
  const attempts = await database.query<AttemptRecord & { stepKey: string }>(LIST_ATTEMPTS, [
    page.jobId,
    rows.map((row) => row.key),
  ]);
  const steps = rows.map((row) => ({
    ...row,
    output: row.output === null ? null : jsonSchema.parse(row.output),
    error: row.error === null ? null : jobErrorSchema.parse(row.error),
    attempts: attempts.filter((attempt) => attempt.stepKey === row.key),
  }));
  return { steps, hasMore, isAfterKnown: true };
}

const HAS_STEP = `SELECT FROM steps WHERE job_id = $1 AND key = $2`;

async function hasStep(
  database: Queryable,
  { jobId, after }: { jobId: string; after: string | null },
): Promise<boolean> {
  return after === null || (await database.query(HAS_STEP, [jobId, after])).length > 0;
}
