import type { BilledTokens } from '../../billing/bill.ts';
import type { JsonObject } from '../../json-value.ts';
import type { FileDraft } from '../file-store.ts';
import type { LineIndex } from './line-index.ts';

export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

export interface BatchProblem {
  readonly code: string;
  readonly message: string;
  readonly line: number | null;
  readonly param: string | null;
}

/**
 * validating → failed | in_progress; in_progress → finalizing → completed, or → expired; any of the first
 * three → cancelling → cancelled. Moved on by `advanceBatch` only.
 */
export interface BatchRecord {
  readonly id: string;
  readonly account: string;
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly metadata: unknown;
  readonly createdAtMs: number;
  status: BatchStatus;
  /** When each state was entered, on the movable clock. */
  readonly enteredAtMs: Partial<Record<BatchStatus, number>>;
  model: string | null;
  problems: readonly BatchProblem[];
  lines: LineIndex | null;
  /** How many lines were worked on, in the order in which they are answered. */
  done: number;
  completed: number;
  failed: number;
  /** Lines that are never answered: position in the input. */
  readonly stuck: number[];
  usage: BilledTokens;
  output: FileDraft | null;
  errors: FileDraft | null;
  outputFileId: string | null;
  errorFileId: string | null;
}

export const WINDOW_MS = 24 * 3_600_000;

/** The batch as the API shows it. */
export function batchObject(batch: BatchRecord): JsonObject & { readonly id: string } {
  const at = (status: BatchStatus): number | null => {
    const enteredAtMs = batch.enteredAtMs[status];
    return enteredAtMs === undefined ? null : Math.floor(enteredAtMs / 1_000);
  };
  const { usage } = batch;
  const over = ['completed', 'expired', 'cancelled'].includes(batch.status);
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model,
    errors: batch.problems.length === 0 ? null : { object: 'list', data: batch.problems },
    input_file_id: batch.inputFileId,
    completion_window: '24h',
    status: batch.status,
    output_file_id: batch.outputFileId,
    error_file_id: batch.errorFileId,
    created_at: Math.floor(batch.createdAtMs / 1_000),
    in_progress_at: at('in_progress'),
    expires_at: Math.floor((batch.createdAtMs + WINDOW_MS) / 1_000),
    finalizing_at: at('finalizing'),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: at('cancelling'),
    cancelled_at: at('cancelled'),
    request_counts: { total: batch.lines?.count ?? 0, completed: batch.completed, failed: batch.failed },
    usage: over
      ? {
          input_tokens: usage.inputTokens,
          input_tokens_details: { cached_tokens: usage.cachedInputTokens },
          output_tokens: usage.outputTokens,
          output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
          total_tokens: usage.inputTokens + usage.outputTokens,
        }
      : null,
    metadata: batch.metadata,
  };
}
