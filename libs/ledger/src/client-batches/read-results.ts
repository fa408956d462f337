import { jobErrorSchema, jsonSchema } from '@millrace/contracts';
import type { JobError, Json } from '@millrace/contracts';
import type { Queryable } from '../database.ts';

/** How a line of a batch ended, with what its job gave. Instants are milliseconds since 1970. */
export interface ClientLineResult {
  line: number;
  customId: string;
  jobId: string;
  status: 'completed' | 'failed' | 'cancelled' | 'expired';
  output: Json | null;
  error: JobError | null;
  /** Null when the line never became a job. */
  finishedAt: number | null;
  erased: boolean;
  /** The target that answered, `provider/model`; null without an answer. */
  target: string | null;
  /** Whether the answer stopped at the cap of output tokens. */
  truncated: boolean;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

const READ = `
SELECT l.line, l.custom_id AS "customId", l.job_id AS "jobId", l.status, j.output, j.error,
  j.finished_at AS "finishedAt", j.erased_at IS NOT NULL AS erased, answer.target,
  coalesce(answer.error_code = 'output_truncated', false) AS truncated,
  coalesce(j.input_tokens, 0) AS "inputTokens", coalesce(j.cached_input_tokens, 0) AS "cachedInputTokens",
  coalesce(j.output_tokens, 0) AS "outputTokens", coalesce(j.reasoning_tokens, 0) AS "reasoningTokens"
FROM client_batch_lines l LEFT JOIN jobs j ON j.id = l.job_id
LEFT JOIN LATERAL (
  SELECT a.target, a.error_code FROM attempts a WHERE a.job_id = j.id AND a.status = 'completed'
  ORDER BY a.number DESC LIMIT 1
) answer ON true
WHERE l.batch_id = $1 AND l.line > $2 AND l.status IS NOT NULL ORDER BY l.line LIMIT $3`;

/** The ended lines after a line, in order, at most `limit`. */
export async function readClientResults(
  database: Queryable,
  batchId: string,
  afterLine: number,
  limit: number,
): Promise<ClientLineResult[]> {
  const rows = await database.query<ClientLineResult & { output: unknown; error: unknown }>(READ, [
    batchId,
    afterLine,
    limit,
  ]);
  return rows.map((row) => ({
    ...row,
    output: row.output === null ? null : jsonSchema.parse(row.output),
    error: row.error === null ? null : jobErrorSchema.parse(row.error),
  }));
}
