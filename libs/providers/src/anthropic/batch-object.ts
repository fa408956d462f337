import { z } from 'zod';
import type { BatchPhase, ProviderBatch } from '../batches/batch-port.ts';

const instant = z.iso.datetime({ offset: true });

/** A message batch as Anthropic sends it, in the parts that are read here. */
export const messageBatchSchema = z.object({
  id: z.string().min(1),
  processing_status: z.enum(['in_progress', 'canceling', 'ended']),
  request_counts: z.object({
    processing: z.int(),
    succeeded: z.int(),
    errored: z.int(),
    canceled: z.int(),
    expired: z.int(),
  }),
  created_at: instant,
  expires_at: instant.nullish(),
  ended_at: instant.nullish(),
  cancel_initiated_at: instant.nullish(),
  results_url: z.string().nullish(),
});

type MessageBatch = z.infer<typeof messageBatchSchema>;

/** How many requests the batch holds; the one count that is right at all times. */
export function requestsOf({ request_counts: counts }: MessageBatch): number {
  return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired;
}

/** The vendor's batch in our words. Handle: `resultsUrl` once it has ended. */
export function toProviderBatch(batch: MessageBatch): ProviderBatch {
  const { request_counts: counts } = batch;
  return {
    providerBatchId: batch.id,
    phase: phaseOf(batch),
    // All but the total stay zero until the end.
    counts:
      batch.processing_status === 'ended'
        ? {
            total: requestsOf(batch),
            completed: counts.succeeded,
            failed: counts.errored + counts.canceled + counts.expired,
          }
        : null,
    createdAt: Date.parse(batch.created_at),
    expiresAt: toMs(batch.expires_at),
    endedAt: toMs(batch.ended_at),
    failure: null,
    handles: batch.results_url ? { resultsUrl: batch.results_url } : {},
    usage: null,
  };
}

/** Anthropic knows one end only; what it was is told by the counts and the cancellation. */
function phaseOf(batch: MessageBatch): BatchPhase {
  switch (batch.processing_status) {
    case 'in_progress':
      return 'in_progress';
    case 'canceling':
      return 'cancelling';
    case 'ended':
      if (batch.request_counts.canceled > 0) return 'cancelled';
      return batch.request_counts.expired > 0 ? 'expired' : 'completed';
  }
}

function toMs(text: string | null | undefined): number | null {
  return text ? Date.parse(text) : null;
}
