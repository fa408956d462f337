import { z } from 'zod';

/** How far a batch of ours is; migration 0005 says what each means. */
export type BatchStatus = 'gathering' | 'submitting' | 'running' | 'reading' | 'ended';

/** How a batch ended. `refused`: the vendor would not take it; `abandoned`: nothing in it was wanted any more. */
export type BatchOutcome = 'completed' | 'failed' | 'expired' | 'cancelled' | 'refused' | 'abandoned';

/** A provider batch as the ledger has it. Instants are milliseconds since 1970. */
export interface BatchRecord {
  id: string;
  provider: string;
  model: string;
  target: string;
  status: BatchStatus;
  outcome: BatchOutcome | null;
  phase: string | null;
  providerBatchId: string | null;
  certain: boolean;
  handles: Record<string, string>;
  lineCount: number;
  bytes: number;
  estimatedTokens: number;
  /** Every write about this batch must carry it. */
  fence: number;
  tries: number;
  polls: number;
  createdAt: number;
  submittedAt: number | null;
  expiresAt: number | null;
  endedAt: number | null;
  cancelRequestedAt: number | null;
  /** Lines that the vendor said were answered when it was last looked at; null while it has not told. */
  countsCompleted: number | null;
  /** What the vendor says it has billed, where it sums it up. */
  vendorUsage: { inputTokens: number; outputTokens: number } | null;
}

/** The columns of {@link BatchRecord}, of `provider_batches b`. */
export const batchColumns = `b.id, b.provider, b.model, b.target, b.status, b.outcome, b.phase, b.provider_batch_id,
  b.certain, b.handles, b.line_count, b.bytes, b.estimated_tokens, b.fence, b.tries, b.polls, b.created_at,
  b.submitted_at, b.expires_at, b.ended_at, b.cancel_requested_at, b.vendor_input_tokens, b.vendor_output_tokens,
  b.counts_completed`;

/** A row of {@link batchColumns} as the driver gives it. */
export interface BatchRow {
  id: string;
  provider: string;
  model: string;
  target: string;
  status: BatchStatus;
  outcome: BatchOutcome | null;
  phase: string | null;
  provider_batch_id: string | null;
  certain: boolean;
  handles: unknown;
  line_count: number;
  bytes: number;
  estimated_tokens: number;
  fence: number;
  tries: number;
  polls: number;
  created_at: number;
  submitted_at: number | null;
  expires_at: number | null;
  ended_at: number | null;
  cancel_requested_at: number | null;
  counts_completed: number | null;
  vendor_input_tokens: number | null;
  vendor_output_tokens: number | null;
}

const handlesSchema = z.record(z.string(), z.string());

/** Maps a row; the handles are outside data and are parsed here. */
export function toBatchRecord(row: BatchRow): BatchRecord {
  const { vendor_input_tokens: inputTokens, vendor_output_tokens: outputTokens } = row;
  return {
    id: row.id,
    provider: row.provider,
    model: row.model,
    target: row.target,
    status: row.status,
    outcome: row.outcome,
    phase: row.phase,
    providerBatchId: row.provider_batch_id,
    certain: row.certain,
    handles: handlesSchema.parse(row.handles),
    lineCount: row.line_count,
    bytes: row.bytes,
    estimatedTokens: row.estimated_tokens,
    fence: row.fence,
    tries: row.tries,
    polls: row.polls,
    createdAt: row.created_at,
    submittedAt: row.submitted_at,
    expiresAt: row.expires_at,
    endedAt: row.ended_at,
    cancelRequestedAt: row.cancel_requested_at,
    countsCompleted: row.counts_completed,
    vendorUsage: inputTokens === null || outputTokens === null ? null : { inputTokens, outputTokens },
  };
}
