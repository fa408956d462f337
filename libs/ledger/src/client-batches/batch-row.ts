import { z } from 'zod';

export const clientBatchStatuses = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type ClientBatchStatus = (typeof clientBatchStatuses)[number];

const problemSchema = z.object({
  code: z.string(),
  line: z.int().nullable(),
  message: z.string(),
  param: z.string().nullable(),
});
const usageSchema = z.object({
  inputTokens: z.int(),
  cachedInputTokens: z.int(),
  outputTokens: z.int(),
  reasoningTokens: z.int(),
});

/** What validation found wrong with an input file; `line` counts from 1 and is null for the file as a whole. */
export type ClientBatchProblem = z.infer<typeof problemSchema>;
/** Tokens of all lines that were answered or billed. */
export type ClientBatchUsage = z.infer<typeof usageSchema>;

/** A batch that a client created through the OpenAI-compatible routes. Instants are milliseconds since 1970. */
export interface ClientBatch {
  id: string;
  tenantId: string;
  apiKeyId: string;
  /** The request that it came with. */
  requestId: string;
  endpoint: string;
  inputFileId: string;
  completionWindow: string;
  metadata: Record<string, string> | null;
  outputLifeSeconds: number | null;
  status: ClientBatchStatus;
  /** The model that every line names; null when they differ. */
  model: string | null;
  problems: ClientBatchProblem[];
  createdAt: number;
  expiresAt: number;
  inProgressAt: number | null;
  finalizingAt: number | null;
  completedAt: number | null;
  failedAt: number | null;
  expiredAt: number | null;
  cancellingAt: number | null;
  cancelledAt: number | null;
  total: number;
  /** How many lines have become jobs, and the byte at which the next one begins. */
  expandedLines: number;
  expandedBytes: number;
  /** Lines that have ended well, and lines that have ended otherwise. */
  completed: number;
  failed: number;
  /** Null before the end. */
  usage: ClientBatchUsage | null;
  outputFileId: string | null;
  errorFileId: string | null;
}

/** The columns of {@link ClientBatch}, for a SELECT from `client_batches b`. */
export const batchColumns = `b.id, b.tenant_id AS "tenantId", b.api_key_id AS "apiKeyId", b.request_id AS "requestId",
  b.endpoint, b.input_file_id AS "inputFileId", b.completion_window AS "completionWindow", b.metadata,
  b.output_expires_after_seconds AS "outputLifeSeconds", b.status, b.model, b.errors, b.created_at AS "createdAt",
  b.expires_at AS "expiresAt", b.in_progress_at AS "inProgressAt", b.finalizing_at AS "finalizingAt",
  b.completed_at AS "completedAt", b.failed_at AS "failedAt", b.expired_at AS "expiredAt",
  b.cancelling_at AS "cancellingAt", b.cancelled_at AS "cancelledAt", b.total, b.expanded_lines AS "expandedLines",
  b.expanded_bytes AS "expandedBytes", b.usage, b.output_file_id AS "outputFileId", b.error_file_id AS "errorFileId",
  CASE WHEN b.ended_at IS NULL THEN lines.completed ELSE b.completed END AS completed,
  CASE WHEN b.ended_at IS NULL THEN lines.failed ELSE b.failed END AS failed`;

/** Counts the lines of a batch that has not ended; to be joined to `client_batches b`. */
export const countedLines = `LEFT JOIN LATERAL (
  SELECT count(*) FILTER (WHERE status = 'completed')::int AS completed,
    count(*) FILTER (WHERE status IN ('failed', 'expired'))::int AS failed
  FROM client_batch_lines l WHERE b.ended_at IS NULL AND l.batch_id = b.id) lines ON true`;

/** A row of {@link batchColumns} as the driver gives it. */
export interface BatchRow extends Omit<ClientBatch, 'metadata' | 'problems' | 'usage'> {
  metadata: unknown;
  errors: unknown;
  usage: unknown;
}

/** Maps a row; JSON columns are outside data and are parsed here. */
export function toClientBatch({ errors, metadata, usage, ...row }: BatchRow): ClientBatch {
  return {
    ...row,
    metadata: metadata === null ? null : z.record(z.string(), z.string()).parse(metadata),
    problems: errors === null ? [] : z.array(problemSchema).parse(errors),
    usage: usage === null ? null : usageSchema.parse(usage),
  };
}
