import type { Queryable } from '../database.ts';
import type { BatchOutcome, BatchRecord, BatchStatus } from './batch-row.ts';

/** What is learned of a batch; what is absent stays. Instants are milliseconds since 1970. */
export interface BatchNews {
  status?: BatchStatus;
  outcome?: BatchOutcome;
  phase?: string;
  /** The vendor's batch was not ours: its id, times, counts and end are forgotten. */
  forgets?: boolean;
  providerBatchId?: string;
  certain?: boolean;
  handles?: Record<string, string>;
  lineCount?: number;
  submittedAt?: number;
  expiresAt?: number | null;
  endedAt?: number;
  cancelRequestedAt?: number;
  counts?: { total: number; completed: number; failed: number } | null;
  failure?: { code: string; message: string } | null;
  usage?: { inputTokens: number; outputTokens: number } | null;
  tries?: number;
  polled?: boolean;
  /** When somebody looks again, from now. */
  wakeInMs: number;
}

const NOTE = `
UPDATE provider_batches SET
  status = coalesce(n.status, provider_batches.status), outcome = coalesce(n.outcome, known.outcome),
  phase = coalesce(n.phase, provider_batches.phase),
  provider_batch_id = coalesce(n.provider_batch_id, known.provider_batch_id),
  certain = coalesce(n.certain, provider_batches.certain), handles = coalesce(n.handles::json, provider_batches.handles),
  line_count = coalesce(n.line_count, provider_batches.line_count),
  submitted_at = coalesce(known.submitted_at, to_timestamp(n.submitted_at / 1000)),
  expires_at = coalesce(to_timestamp(n.expires_at / 1000), known.expires_at),
  ended_at = coalesce(known.ended_at, to_timestamp(n.ended_at / 1000)),
  cancel_requested_at = coalesce(known.cancel_requested_at, to_timestamp(n.cancel_requested_at / 1000)),
  counts_total = coalesce(n.counts_total, known.counts_total),
  counts_completed = coalesce(n.counts_completed, known.counts_completed),
  counts_failed = coalesce(n.counts_failed, known.counts_failed),
  failure_code = coalesce(n.failure_code, known.failure_code),
  failure_message = coalesce(n.failure_message, known.failure_message),
  vendor_input_tokens = coalesce(n.vendor_input_tokens, known.vendor_input_tokens),
  vendor_output_tokens = coalesce(n.vendor_output_tokens, known.vendor_output_tokens),
  tries = coalesce(n.tries, provider_batches.tries),
  polls = provider_batches.polls + CASE WHEN n.polled THEN 1 ELSE 0 END,
  wake_at = now() + n.wake_in_ms * interval '1 millisecond'
FROM json_to_record($3) AS n (
  status text, outcome text, phase text, provider_batch_id text, forgets boolean, certain boolean, handles text,
  line_count int, submitted_at float8, expires_at float8, ended_at float8, cancel_requested_at float8, counts_total int,
  counts_completed int, counts_failed int, failure_code text, failure_message text, vendor_input_tokens bigint,
  vendor_output_tokens bigint, tries int, polled boolean, wake_in_ms float8)
-- Nothing is known any more of a vendor's batch that was not ours.
LEFT JOIN (SELECT * FROM provider_batches WHERE id = $1) AS known ON NOT n.forgets
WHERE provider_batches.id = $1 AND provider_batches.fence = $2 AND provider_batches.status <> 'ended' RETURNING provider_batches.id`;

/**
 * Writes down what is learned of a batch; false when the claim is lost, and then nothing is written. `ended_at`,
 * `submitted_at` and `cancel_requested_at` keep their first value.
 */
export async function noteBatch(
  database: Queryable,
  batch: Pick<BatchRecord, 'id' | 'fence'>,
  news: BatchNews,
): Promise<boolean> {
  return (await database.query(NOTE, [batch.id, batch.fence, JSON.stringify(toRow(news))])).length === 1;
}

/** PostgreSQL's text knows no NUL, and a vendor's words may be long. */
function printable(text: string): string {
  return text.replaceAll('\u0000', '').slice(0, 2_000).toWellFormed();
}

function toRow(news: BatchNews) {
  return {
    status: news.status,
    outcome: news.outcome,
    phase: news.phase,
    provider_batch_id: news.providerBatchId,
    forgets: news.forgets ?? false,
    certain: news.certain,
    handles: news.handles && JSON.stringify(news.handles),
    line_count: news.lineCount,
    submitted_at: news.submittedAt,
    expires_at: news.expiresAt,
    ended_at: news.endedAt,
    cancel_requested_at: news.cancelRequestedAt,
    counts_total: news.counts?.total,
    counts_completed: news.counts?.completed,
    counts_failed: news.counts?.failed,
    failure_code: news.failure && printable(news.failure.code),
    failure_message: news.failure && printable(news.failure.message),
    vendor_input_tokens: news.usage?.inputTokens,
    vendor_output_tokens: news.usage?.outputTokens,
    tries: news.tries,
    polled: news.polled ?? false,
    wake_in_ms: news.wakeInMs,
  };
}
