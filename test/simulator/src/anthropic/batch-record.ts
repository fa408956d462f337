import type { BatchPlan } from '../batches/batch-plan.ts';
import type { LineIndex } from '../batches/line-index.ts';
import type { ScratchFile } from '../batches/scratch-folder.ts';
import type { LineResult } from '../journal-notes.ts';

/** States: in_progress → ended, or in_progress → canceling → ended. Moved on by `advanceBatch` only. */
export interface MessageBatch {
  readonly id: string;
  readonly account: string;
  /** API version of the request that created it. */
  readonly version: string;
  /** The model of its first request. */
  readonly model: string | null;
  readonly requests: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** From then on its results are gone. */
  readonly archivedAtMs: number;
  readonly plan: BatchPlan;
  lines: LineIndex | null;
  cancelInitiatedAtMs: number | null;
  endedAtMs: number | null;
  /** How many requests were worked on, in the order in which they are answered. */
  done: number;
  readonly stuck: number[];
  readonly counts: Record<LineResult, number>;
  usage: { readonly inputTokens: number; readonly outputTokens: number };
  nanoUsd: number;
  readonly results: ScratchFile;
  resultBytes: number;
  /** Until then its results are not to be had, although it has ended; `null`: no such fault. */
  missingUntilMs: number | null;
  /** … and it does not name their address either. */
  unnamed: boolean;
}

export function statusOf(batch: MessageBatch): 'in_progress' | 'canceling' | 'ended' {
  if (batch.endedAtMs !== null) return 'ended';
  return batch.cancelInitiatedAtMs === null ? 'in_progress' : 'canceling';
}

/** The batch as the API shows it: until it has ended all counts but `processing` are 0. */
export function batchObject(batch: MessageBatch, baseUrl: string, nowMs: number): object {
  const ended = batch.endedAtMs !== null;
  const archived = nowMs >= batch.archivedAtMs;
  const { succeeded, errored, canceled, expired } = batch.counts;
  const counts = ended
    ? { processing: 0, succeeded, errored, canceled, expired }
    : { processing: batch.requests, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  const missing = batch.missingUntilMs !== null && nowMs < batch.missingUntilMs;
  const readable = ended && !archived && !(missing && batch.unnamed);
  return {
    id: batch.id,
    type: 'message_batch',
    processing_status: statusOf(batch),
    request_counts: counts,
    created_at: instant(batch.createdAtMs),
    expires_at: instant(batch.expiresAtMs),
    ended_at: instant(batch.endedAtMs),
    cancel_initiated_at: instant(batch.cancelInitiatedAtMs),
    archived_at: archived ? instant(batch.archivedAtMs) : null,
    results_url: readable ? `${baseUrl}/v1/messages/batches/${batch.id}/results` : null,
  };
}

function instant(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}
