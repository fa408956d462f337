import type { BatchPlan } from '../../batches/batch-plan.ts';
import type { LineIndex } from '../../batches/line-index.ts';
import type { BilledTokens } from '../../billing/bill.ts';
import type { LineResult } from '../../journal-notes.ts';
import type { JsonObject } from '../../json-value.ts';
import type { FileDraft } from '../file-store.ts';

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
  readonly expiresAtMs: number;
  /** How long output files live; `null`: until they are deleted. */
  readonly outputLifeMs: number | null;
  readonly plan: BatchPlan;
  status: BatchStatus;
  /** When each state was entered, on the movable clock. */
  readonly enteredAtMs: Partial<Record<BatchStatus, number>>;
  model: string | null;
  problems: readonly BatchProblem[];
  /** Prompt tokens that count toward the limit of enqueued tokens until the batch has ended. */
  enqueuedTokens: number;
  lines: LineIndex | null;
  /** Lines of the input, from validation on. */
  total: number;
  /** How many lines were worked on, in the order in which they are answered. */
  done: number;
  readonly results: Record<LineResult, number>;
  /** Lines that are never answered: position in the input. */
  readonly stuck: number[];
  usage: BilledTokens;
  nanoUsd: number;
  output: FileDraft | null;
  errors: FileDraft | null;
  outputFileId: string | null;
  errorFileId: string | null;
  /** Until then the batch does not name its output file. */
  outputNamedAtMs: number;
}

const ENDED: ReadonlySet<BatchStatus> = new Set(['completed', 'failed', 'expired', 'cancelled']);

export function hasEnded(batch: BatchRecord): boolean {
  return ENDED.has(batch.status);
}

/** The batch as the API shows it. */
export function batchObject(batch: BatchRecord, nowMs: number): JsonObject & { readonly id: string } {
  const at = (status: BatchStatus): number | null => {
    const enteredAtMs = batch.enteredAtMs[status];
    return enteredAtMs === undefined ? null : Math.floor(enteredAtMs / 1_000);
  };
  const { usage, results } = batch;
  const over = hasEnded(batch) && batch.status !== 'failed';
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model,
    errors: batch.problems.length === 0 ? null : { object: 'list', data: batch.problems },
    input_file_id: batch.inputFileId,
    completion_window: '24h',
    status: batch.status,
    output_file_id: nowMs < batch.outputNamedAtMs ? null : batch.outputFileId,
    error_file_id: batch.errorFileId,
    created_at: Math.floor(batch.createdAtMs / 1_000),
    in_progress_at: at('in_progress'),
    expires_at: Math.floor(batch.expiresAtMs / 1_000),
    finalizing_at: at('finalizing'),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: at('cancelling'),
    cancelled_at: at('cancelled'),
    request_counts: {
      total: batch.total,
      completed: results.succeeded,
      failed: results.errored + results.expired + results.canceled,
    },
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
