import { pipeline } from 'node:stream/promises';
import { deleteFile, findFile, listFiles } from '@millrace/ledger';
import type { ClientFile, Database } from '@millrace/ledger';
import { Router } from 'express';
import type { Request, Response } from 'express';
import { parseBody } from '../http/parse.ts';
import { contextOf, identityOf } from '../http/request-context.ts';
import { OpenAiError } from './openai-error.ts';
import { toFileObject, toPage } from './openai-objects.ts';
import { fileListQuerySchema } from './openai-schemas.ts';
import { createUploadFile } from './upload-file.ts';
import type { UploadDependencies } from './upload-file.ts';

/** What {@link fileRoutes} needs. */
export interface FileRouteDependencies extends UploadDependencies {
  /** For lists, which may take longer than a client of the other routes should wait. */
  listing: Database;
}

/** `/v1/files`, as OpenAI has it. They read their bodies themselves: an upload is stored while it arrives. */
export function fileRoutes(dependencies: FileRouteDependencies): Router {
  const { database, listing, blobs } = dependencies;
  const uploadFile = createUploadFile(dependencies);
  const router = Router();

  router.post('/v1/files', async (request, response) => {
    const file = await uploadFile(request, identityOf(response).tenantId);
    contextOf(response).event.bytes_in = file.bytes;
    response.json(toFileObject(file));
  });

  router.get('/v1/files', async (request, response) => {
    const { after, limit, order, purpose } = parseBody(fileListQuerySchema, request.query);
    const page = await listFiles(listing, {
      tenantId: identityOf(response).tenantId,
      purpose: purpose ?? null,
      after: after ?? null,
      order,
      limit,
    });
    response.json(toPage(page.files.map(toFileObject), page.hasMore));
  });

  router.get('/v1/files/:id', async (request, response) => {
    response.json(toFileObject(await requireFile(request, response)));
  });

  router.delete('/v1/files/:id', async (request, response) => {
    const { id } = request.params;
    if (!(await deleteFile(database, identityOf(response).tenantId, id))) throw noSuchFile(id);
    response.json({ id, object: 'file', deleted: true });
  });

  router.get('/v1/files/:id/content', async (request, response) => {
    const file = await requireFile(request, response);
    const content = await blobs.read(file.id);
    if (!content) throw new Error(`the content of ${file.id} is not in the blob store`);
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('Content-Length', content.bytes);
    response.attachment(file.fileName).type('application/octet-stream');
    try {
      await pipeline(content.stream, response);
    } catch (error) {
      // The client has gone, or the store has: the answer is on its way and can only be cut.
      contextOf(response).event.reason = error instanceof Error ? error.name : 'cut';
      response.destroy();
    }
  });

  async function requireFile(request: Request<{ id: string }>, response: Response): Promise<ClientFile> {
    const file = await findFile(database, identityOf(response).tenantId, request.params.id);
    if (!file) throw noSuchFile(request.params.id);
    return file;
  }

  return router;
}

function noSuchFile(id: string): OpenAiError {
  return new OpenAiError(404, `No such File object: ${id.slice(0, 200)}`, { param: 'id' });
}
