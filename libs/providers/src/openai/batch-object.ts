import { z } from 'zod';
import type { ProviderBatch } from '../batches/batch-port.ts';
import { batchPhases } from '../batches/batch-port.ts';
import { promptlessDetail } from '../failures/safe-detail.ts';

/** Where our own batch id stands in the vendor's metadata. */
export const BATCH_ID_KEY = 'millrace_batch_id';

const seconds = z.number().nullish();

/** A batch as OpenAI sends it, in the parts that are read here. Its status has our phases' names, or ours have its. */
export const openAIBatchSchema = z.object({
  id: z.string().min(1),
  status: z.enum(batchPhases),
  created_at: z.number(),
  expires_at: seconds,
  completed_at: seconds,
  failed_at: seconds,
  expired_at: seconds,
  cancelled_at: seconds,
  input_file_id: z.string().nullish(),
  output_file_id: z.string().nullish(),
  error_file_id: z.string().nullish(),
  request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }).nullish(),
  usage: z.object({ input_tokens: z.int(), output_tokens: z.int() }).nullish(),
  errors: z
    .object({
      data: z
        .array(
          z.object({ code: z.string().nullish(), message: z.string().nullish(), line: z.int().nullish() }),
        )
        .nullish(),
    })
    .nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
});

type OpenAIBatch = z.infer<typeof openAIBatchSchema>;

const finalPhases: readonly OpenAIBatch['status'][] = ['completed', 'failed', 'expired', 'cancelled'];

/** True once the batch changes no more. */
export function hasEnded(phase: OpenAIBatch['status']): boolean {
  return finalPhases.includes(phase);
}

/** The vendor's batch in our words. Handles: `inputFileId`, and `outputFileId` and `errorFileId` once there are any. */
export function toProviderBatch(batch: OpenAIBatch): ProviderBatch {
  const ended = hasEnded(batch.status);
  const endedAt = batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at ?? null;
  return {
    providerBatchId: batch.id,
    phase: batch.status,
    // Zeros while the file is validated say nothing.
    counts: batch.request_counts && batch.request_counts.total > 0 ? batch.request_counts : null,
    createdAt: batch.created_at * 1000,
    expiresAt: toMs(batch.expires_at),
    endedAt: ended ? toMs(endedAt) : null,
    failure: batch.status === 'failed' ? failureOf(batch) : null,
    handles: {
      ...(batch.input_file_id ? { inputFileId: batch.input_file_id } : {}),
      ...(batch.output_file_id ? { outputFileId: batch.output_file_id } : {}),
      ...(batch.error_file_id ? { errorFileId: batch.error_file_id } : {}),
    },
    usage:
      ended && batch.usage
        ? { inputTokens: batch.usage.input_tokens, outputTokens: batch.usage.output_tokens }
        : null,
  };
}

/** The first validation error stands for all: OpenAI repeats the same one for each line. */
function failureOf(batch: OpenAIBatch): { code: string; message: string } {
  const first = batch.errors?.data?.[0];
  const where = typeof first?.line === 'number' ? `line ${first.line}: ` : '';
  const message = promptlessDetail(first?.message ?? null) ?? 'no reason given';
  return { code: first?.code ?? 'unknown', message: `${where}${message}` };
}

function toMs(instant: number | null | undefined): number | null {
  return typeof instant === 'number' ? instant * 1000 : null;
}
