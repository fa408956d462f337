import { ProblemError, createId, parseDurationMs } from '@millrace/contracts';
import {
  cancelClientBatch,
  createClientBatch,
  findClientBatch,
  findClientBatchByKey,
  listClientBatches,
} from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { Router } from 'express';
import type { Request } from 'express';
import { parseBody } from '../http/parse.ts';
import { contextOf, identityOf } from '../http/request-context.ts';
import { readIdempotencyKey } from '../intake/idempotency-key.ts';
import { fingerprintOf } from '../intake/prepare-job.ts';
import { OpenAiError } from './openai-error.ts';
import type { RefuseLateBatch } from './refuse-late-batch.ts';
import { toBatchObject, toPage } from './openai-objects.ts';
import { batchListQuerySchema, batchRequestSchema } from './openai-schemas.ts';

/** What {@link batchRoutes} needs. `listing` has connections of its own for what reads many rows. */
export interface BatchRouteDependencies {
  database: Database;
  listing: Database;
  refuseLate: RefuseLateBatch;
}

/** `/v1/batches`, as OpenAI has it; the scheduler validates what is created here, and turns its lines into jobs. */
export function batchRoutes({ database, listing, refuseLate }: BatchRouteDependencies): Router {
  const router = Router();

  router.post('/v1/batches', async (request, response) => {
    const wanted = parseBody(batchRequestSchema, request.body);
    const { tenantId, keyId } = identityOf(response);
    const context = contextOf(response);
    const windowMs = parseDurationMs(wanted.completion_window) ?? 0;
    const key = readIdempotencyKey(request.get('idempotency-key'), false);
    const idempotency =
      key === null ? null : { key, fingerprint: fingerprintOf('POST', '/v1/batches', wanted) };
    // A batch that is there is there, however late it is now.
    const before = idempotency && (await findClientBatchByKey(database, tenantId, idempotency));
    if (!before) refuseLate(windowMs);
    const id = createId('batch');
    const created =
      before ??
      (await createClientBatch(database, {
        id,
        idempotency,
        tenantId,
        apiKeyId: keyId,
        requestId: context.requestId,
        endpoint: wanted.endpoint,
        inputFileId: wanted.input_file_id,
        completionWindow: wanted.completion_window,
        windowMs,
        metadata: wanted.metadata ?? null,
        outputLifeSeconds: wanted.output_expires_after?.seconds ?? null,
      }));
    if (created === 'key_reused') throw keyReused();
    if (typeof created === 'string') throw unusableInput(created, wanted.input_file_id);
    context.event.batch = created.id;
    if (created.id !== id) {
      context.event.replayed = true;
      response.setHeader('Idempotent-Replayed', 'true');
    }
    response.json(toBatchObject(created));
  });

  router.get('/v1/batches', async (request, response) => {
    const { after, limit } = parseBody(batchListQuerySchema, request.query);
    const { tenantId } = identityOf(response);
    const page = await listClientBatches(listing, { tenantId, after: after ?? null, limit });
    response.json(toPage(page.batches.map(toBatchObject), page.hasMore));
  });

  router.get('/v1/batches/:id', async (request, response) => {
    const batch = await findClientBatch(database, identityOf(response).tenantId, request.params.id);
    if (!batch) throw noSuchBatch(request);
    response.json(toBatchObject(batch));
  });

  router.post('/v1/batches/:id/cancel', async (request, response) => {
    const batch = await cancelClientBatch(database, identityOf(response).tenantId, request.params.id);
    if (!batch) throw noSuchBatch(request);
    if (batch.status !== 'cancelling') {
      throw new OpenAiError(400, `Cannot cancel a batch with status '${batch.status}'.`);
    }
    response.json(toBatchObject(batch));
  });

  return router;
}

function keyReused(): ProblemError {
  return new ProblemError(
    'idempotency_key_reused',
    'This Idempotency-Key was used with another body; take a new one for a new batch.',
  );
}

function unusableInput(reason: 'no_such_file' | 'wrong_purpose', fileId: string): OpenAiError {
  const why = reason === 'no_such_file' ? `no such file: ${fileId}` : "the file's purpose must be 'batch'.";
  return new OpenAiError(400, `Invalid 'input_file_id': ${why}`, {
    param: 'input_file_id',
    code: 'invalid_value',
  });
}

function noSuchBatch(request: Request<{ id: string }>): OpenAiError {
  return new OpenAiError(404, `No batch found with id '${request.params.id.slice(0, 200)}'.`);
}
