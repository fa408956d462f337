import { parseDurationMs } from '@millrace/contracts';
import { z } from 'zod';

/** The endpoints that OpenAI's batches take. Which of them Millrace can serve is told by the validation of the batch. */
const batchEndpoints = [
  '/v1/responses',
  '/v1/chat/completions',
  '/v1/embeddings',
  '/v1/completions',
  '/v1/moderations',
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/videos',
] as const;

/** Jobs and their idempotency keys are kept for this long by default. */
const LONGEST_WINDOW_MS = 30 * 86_400_000;

const seconds = z.int().meta({ description: 'Seconds since 1970.' });
const instant = seconds.nullable();
const life = z.strictObject({ anchor: z.literal('created_at'), seconds: z.int().min(3_600).max(2_592_000) });

/** Body of `POST /v1/batches`. */
export const batchRequestSchema = z
  .strictObject({
    input_file_id: z
      .string()
      .min(1)
      .max(200)
      .refine((id) => !id.includes('\0'), 'must not contain NUL'),
    endpoint: z.enum(batchEndpoints),
    completion_window: z
      .string()
      .refine((text) => {
        const windowMs = parseDurationMs(text);
        return windowMs !== null && windowMs >= 1_000 && windowMs <= LONGEST_WINDOW_MS;
      }, 'a duration between "1s" and "30d", such as "24h", "1h", "15m"')
      .meta({ description: 'The deadline of every line: `24h` or any other duration.' }),
    metadata: z
      .record(z.string().min(1).max(64), z.string().max(512))
      .refine((pairs) => Object.keys(pairs).length <= 16, 'at most 16 pairs')
      .nullish(),
    output_expires_after: life.nullish(),
  })
  .meta({ id: 'BatchRequest' });

/** The form of `POST /v1/files`. */
export const fileRequestSchema = z
  .object({
    file: z.string().meta({ format: 'binary', description: 'JSON lines, named `….jsonl`, 200 MiB at most.' }),
    purpose: z.literal('batch'),
    expires_after: life.optional().meta({ description: '30 days by default.' }),
  })
  .meta({ id: 'FileRequest' });

/** A file as OpenAI shows it. */
export const fileSchema = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: seconds,
    expires_at: instant,
    filename: z.string(),
    purpose: z.enum(['batch', 'batch_output']),
    status: z.literal('processed'),
    status_details: z.null(),
  })
  .meta({ id: 'File' });

/** The answer to the deletion of a file. */
export const deletedFileSchema = z
  .object({ id: z.string(), object: z.literal('file'), deleted: z.literal(true) })
  .meta({ id: 'DeletedFile' });

/** A batch as OpenAI shows it. */
export const batchSchema = z
  .object({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string(),
    model: z.string().nullable().meta({ description: 'What every line names; null when they differ.' }),
    errors: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z.object({
            code: z.string(),
            line: z.int().nullable(),
            message: z.string(),
            param: z.string().nullable(),
          }),
        ),
      })
      .nullable(),
    input_file_id: z.string(),
    completion_window: z.string(),
    status: z.enum([
      'validating',
      'failed',
      'in_progress',
      'finalizing',
      'completed',
      'expired',
      'cancelling',
      'cancelled',
    ]),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    created_at: seconds,
    in_progress_at: instant,
    expires_at: seconds,
    finalizing_at: instant,
    completed_at: instant,
    failed_at: instant,
    expired_at: instant,
    cancelling_at: instant,
    cancelled_at: instant,
    request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
    usage: z
      .object({
        input_tokens: z.int(),
        input_tokens_details: z.object({ cached_tokens: z.int() }),
        output_tokens: z.int(),
        output_tokens_details: z.object({ reasoning_tokens: z.int() }),
        total_tokens: z.int(),
      })
      .nullable(),
    metadata: z.record(z.string(), z.string()).nullable(),
  })
  .meta({ id: 'Batch' });

/** Query of `GET /v1/files`. */
export const fileListQuerySchema = z.strictObject({
  after: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(10_000),
  order: z.enum(['asc', 'desc']).default('desc'),
  purpose: z.string().max(100).optional(),
});

/** Query of `GET /v1/batches`. */
export const batchListQuerySchema = z.strictObject({
  after: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

/** An error under the OpenAI-compatible routes. */
export const openAiErrorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: 'OpenAiError' });

export type FileObject = z.infer<typeof fileSchema>;
export type BatchObject = z.infer<typeof batchSchema>;
