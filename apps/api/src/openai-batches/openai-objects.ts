import type { ClientBatch, ClientFile } from '@millrace/ledger';
import type { BatchObject, FileObject } from './openai-schemas.ts';

/** A file as OpenAI shows it. */
export function toFileObject(file: ClientFile): FileObject {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: toSeconds(file.createdAt),
    expires_at: toSecondsOrNull(file.expiresAt),
    filename: file.fileName,
    purpose: file.purpose === 'batch' ? 'batch' : 'batch_output',
    status: 'processed',
    status_details: null,
  };
}

/** A batch as OpenAI shows it. */
export function toBatchObject(batch: ClientBatch): BatchObject {
  const { usage } = batch;
  // Chosen while the results are being written; there is nothing in them before the end.
  const hasResults = ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    model: batch.model,
    errors: batch.problems.length === 0 ? null : { object: 'list', data: batch.problems },
    input_file_id: batch.inputFileId,
    completion_window: batch.completionWindow,
    status: batch.status,
    output_file_id: hasResults ? batch.outputFileId : null,
    error_file_id: hasResults ? batch.errorFileId : null,
    created_at: toSeconds(batch.createdAt),
    in_progress_at: toSecondsOrNull(batch.inProgressAt),
    expires_at: toSeconds(batch.expiresAt),
    finalizing_at: toSecondsOrNull(batch.finalizingAt),
    completed_at: toSecondsOrNull(batch.completedAt),
    failed_at: toSecondsOrNull(batch.failedAt),
    expired_at: toSecondsOrNull(batch.expiredAt),
    cancelling_at: toSecondsOrNull(batch.cancellingAt),
    cancelled_at: toSecondsOrNull(batch.cancelledAt),
    request_counts: { total: batch.total, completed: batch.completed, failed: batch.failed },
    usage: usage && {
      input_tokens: usage.inputTokens,
      input_tokens_details: { cached_tokens: usage.cachedInputTokens },
      output_tokens: usage.outputTokens,
      output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      total_tokens: usage.inputTokens + usage.outputTokens,
    },
    metadata: batch.metadata,
  };
}

/** A page of either, as the SDK's cursor pages want it. */
export function toPage<Item extends { id: string }>(data: Item[], hasMore: boolean) {
  return {
    object: 'list' as const,
    data,
    has_more: hasMore,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

function toSeconds(at: number): number {
  return Math.floor(at / 1_000);
}

function toSecondsOrNull(at: number | null): number | null {
  return at === null ? null : toSeconds(at);
}
