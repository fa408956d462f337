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
  /** How the client wants vectors to be written; null for lines that asked for text. */
  encodingFormat: string | null;
}

/** Of stored answers: vectors may have tens of megabytes, and a page is held in memory as a whole. */
const PAGE_BYTES = 8 * 1024 * 1024;

const READ = `
WITH ended AS (
  SELECT line, job_id FROM client_batch_lines
  WHERE batch_id = $1 AND line > $2 AND status IS NOT NULL ORDER BY line LIMIT $3
), page AS (
  SELECT e.line, sum(pg_column_size(j.output)) OVER (
    ORDER BY e.line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
  FROM ended e LEFT JOIN jobs j ON j.id = e.job_id
)
SELECT l.line, l.custom_id AS "customId", l.job_id AS "jobId", l.status, j.output, j.error,
  j.finished_at AS "finishedAt", j.erased_at IS NOT NULL AS erased, answer.target,
  coalesce(answer.error_code = 'output_truncated', false) AS truncated,
  coalesce(j.input_tokens, 0) AS "inputTokens", coalesce(j.cached_input_tokens, 0) AS "cachedInputTokens",
  coalesce(j.output_tokens, 0) AS "outputTokens", coalesce(j.reasoning_tokens, 0) AS "reasoningTokens",
  CASE WHEN j.type = 'embed' THEN j.content->'params'->>'encoding_format' END AS "encodingFormat"
FROM page JOIN client_batch_lines l ON l.batch_id = $1 AND l.line = page.line LEFT JOIN jobs j ON j.id = l.job_id
LEFT JOIN LATERAL (
  SELECT a.target, a.error_code FROM attempts a WHERE a.job_id = j.id AND a.status = 'completed'
  ORDER BY a.number DESC LIMIT 1
) answer ON true
WHERE coalesce(page.bytes_before, 0) < $4 ORDER BY l.line`;

/** The ended lines after a line, in order, at most `limit`, and not many more bytes of answers than 8 MiB; none: at the end. */
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
    PAGE_BYTES,
  ]);
  return rows.map((row) => ({
    ...row,
    output: row.output === null ? null : jsonSchema.parse(row.output),
    error: row.error === null ? null : jobErrorSchema.parse(row.error),
  }));
}
