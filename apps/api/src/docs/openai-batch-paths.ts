import { batchEventTypes } from '@millrace/contracts';
import { z } from 'zod';
import type { ZodOpenApiPathsObject, ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import {
  batchListQuerySchema,
  batchRequestSchema,
  batchSchema,
  deletedFileSchema,
  fileListQuerySchema,
  fileRequestSchema,
  fileSchema,
  openAiErrorSchema,
} from '../openai-batches/openai-schemas.ts';
import { jsonAnswer } from './answers.ts';

const tags = ['Batches'];
const filePath = z.object({ id: z.string().meta({ description: 'A file’s id, `file_…`.' }) });
const batchPath = z.object({ id: z.string().meta({ description: 'A batch’s id, `batch_…`.' }) });

const EVERYWHERE = {
  '401': '`invalid_api_key`: no valid key was given.',
  '403': '`insufficient_scope`: the key lacks the scope `jobs`.',
  '429': '`rate_limit_exceeded`: too many requests, or uploads at a time; for a new batch also `queue_full`.',
  '500': '`internal_error`: something went wrong on our side.',
  '503': '`ledger_unavailable`, `file_store_unavailable` or `shutting_down`: send it again.',
} as const;
const SOME = {
  '400': 'The request is wrong; `param` names where.',
  '404': 'There is no such file or batch.',
  '413': '`file_too_large` or `body_too_large`.',
  '422': '`idempotency_key_reused`: the key was used with another body.',
  '415': '`unsupported_media_type`: the body is not JSON.',
} as const;

/** `/v1/files` and `/v1/batches` in the OpenAPI document: OpenAI's routes, with OpenAI's errors. */
export const openAiBatchPaths: ZodOpenApiPathsObject = {
  '/v1/files': {
    post: {
      operationId: 'createFile',
      tags,
      summary: 'Upload the input of a batch',
      description: 'Streamed into the blob store, 200 MiB at most.',
      requestBody: { required: true, content: { 'multipart/form-data': { schema: fileRequestSchema } } },
      responses: { '200': jsonAnswer('The file.', fileSchema), ...errors('400', '413') },
    },
    get: {
      operationId: 'listFiles',
      tags,
      summary: 'List files',
      requestParams: { query: fileListQuerySchema },
      responses: { '200': jsonAnswer('A page of files.', pageOf(fileSchema)), ...errors('400') },
    },
  },
  '/v1/files/{id}': {
    get: {
      operationId: 'getFile',
      tags,
      summary: 'Look at a file',
      requestParams: { path: filePath },
      responses: { '200': jsonAnswer('The file.', fileSchema), ...errors('404') },
    },
    delete: {
      operationId: 'deleteFile',
      tags,
      summary: 'Delete a file',
      description: 'A batch that reads it goes on.',
      requestParams: { path: filePath },
      responses: { '200': jsonAnswer('Deleted.', deletedFileSchema), ...errors('404') },
    },
  },
  '/v1/files/{id}/content': {
    get: {
      operationId: 'getFileContent',
      tags,
      summary: 'Read a file',
      requestParams: { path: filePath },
      responses: {
        '200': {
          description: 'The content, as it was uploaded or written.',
          content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
        },
        ...errors('404'),
      },
    },
  },
  '/v1/batches': {
    post: {
      operationId: 'createBatch',
      tags,
      summary: 'Run the requests of a file',
      description:
        'Every line becomes a job whose deadline is the completion window. The input is validated afterwards: look at `status` and `errors`.',
      requestParams: {
        header: z.object({
          'Idempotency-Key': z.string().min(1).max(255).optional().meta({
            description:
              'The same key with the same body stands for the same batch; with another body it is refused.',
          }),
        }),
      },
      requestBody: { required: true, content: { 'application/json': { schema: batchRequestSchema } } },
      responses: { '200': jsonAnswer('The batch.', batchSchema), ...errors('400', '413', '415', '422') },
    },
    get: {
      operationId: 'listBatches',
      tags,
      summary: 'List batches',
      requestParams: { query: batchListQuerySchema },
      responses: { '200': jsonAnswer('A page of batches.', pageOf(batchSchema)), ...errors('400') },
    },
  },
  '/v1/batches/{id}': {
    get: {
      operationId: 'getBatch',
      tags,
      summary: 'Look at a batch',
      requestParams: { path: batchPath },
      responses: { '200': jsonAnswer('The batch.', batchSchema), ...errors('404') },
    },
  },
  '/v1/batches/{id}/cancel': {
    post: {
      operationId: 'cancelBatch',
      tags,
      summary: 'Cancel a batch',
      description: 'What was answered is in its output file.',
      requestParams: { path: batchPath },
      responses: { '200': jsonAnswer('The batch, `cancelling`.', batchSchema), ...errors('400', '404') },
    },
  },
};

const eventSchema = z
  .object({
    id: z.string(),
    object: z.literal('event'),
    type: z.enum(batchEventTypes),
    created_at: z.int().meta({ description: 'Seconds since 1970.' }),
    timestamp: z.string(),
    data: z.object({ id: z.string().meta({ description: 'The batch’s id.' }) }),
  })
  .meta({ id: 'BatchEvent' });

/** What Millrace sends when a batch has ended. */
export const batchMessages: ZodOpenApiPathsObject = {
  'batch.event': {
    post: {
      tags,
      summary: 'A batch ended',
      description: 'Signed like every webhook; sent to endpoints that name the event. Fetch the batch.',
      requestBody: { content: { 'application/json': { schema: eventSchema } } },
      responses: { '200': { description: 'Received.' }, '410': { description: 'Disables the endpoint.' } },
    },
  },
};

function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
}

function errors(...statuses: (keyof typeof SOME)[]): ZodOpenApiResponsesObject {
  const described = {
    ...EVERYWHERE,
    ...Object.fromEntries(statuses.map((status) => [status, SOME[status]])),
  };
  return Object.fromEntries(
    Object.entries(described).map(([status, description]): [string, ZodOpenApiResponseObject] => {
      const { headers } = jsonAnswer('', openAiErrorSchema, {
        'x-should-retry': '`false` where the same request would fail again.',
      });
      return [
        status,
        {
          description,
          ...(headers && { headers }),
          content: { 'application/json': { schema: openAiErrorSchema } },
        },
      ];
    }),
  );
}
