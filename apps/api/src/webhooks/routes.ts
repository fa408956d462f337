import { ProblemError, webhookEndpointPatchSchema, webhookEndpointRequestSchema } from '@millrace/contracts';
import {
  createEndpoint,
  deleteEndpoint,
  findDelivery,
  findEndpoint,
  listDeliveries,
  listEndpoints,
  MOST_ENDPOINTS,
  patchEndpoint,
  redeliver,
  rotateSecret,
} from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { Router } from 'express';
import type { Request, Response } from 'express';
import { parseBody } from '../http/parse.ts';
import { identityOf } from '../http/request-context.ts';
import { checkWebhookUrl } from './check-webhook-url.ts';
import { deliveryListQuerySchema, endpointListQuerySchema } from './list-queries.ts';
import { toDeliveryObject, toEndpointObject, toList } from './webhook-objects.ts';

/** What {@link webhookRoutes} needs. */
export interface WebhookRouteDependencies {
  database: Database;
  /** For lists, which may take longer than a client of the other routes should wait. */
  listing: Database;
  /** Hosts that the deployment allows to be private. */
  listedHosts: readonly string[];
  /** Puts a delivery on the queue. */
  enqueueDelivery: (deliveryId: string, fence: number, delayMs: number) => Promise<void>;
  log: { warn(fields: Record<string, unknown>, message: string): void };
}

/** After a rotation the old secret signs too for so long. */
const SECRET_OVERLAP_MS = 24 * 3_600_000;

/**
 * `/v1/webhook_endpoints` and `/v1/webhook_deliveries`. Expects a parsed JSON body, and the caller's tenant in
 * `response.locals.auth`, put there by whoever checked the key and its `jobs` scope.
 */
export function webhookRoutes(dependencies: WebhookRouteDependencies): Router {
  const { database, listing, listedHosts } = dependencies;
  const router = Router();

  router.post('/v1/webhook_endpoints', async (request, response) => {
    const { url, events, description } = parseBody(webhookEndpointRequestSchema, request.body);
    checkWebhookUrl(url, listedHosts);
    const created = await createEndpoint(database, {
      tenantId: tenantOf(response),
      url,
      events,
      description,
    });
    if (!created) throw tooManyEndpoints();
    response
      .status(201)
      .location(`/v1/webhook_endpoints/${created.endpoint.id}`)
      .json(toEndpointObject(created.endpoint, created.secret));
  });

  router.get('/v1/webhook_endpoints', async (request, response) => {
    const { limit, after, before } = parseBody(endpointListQuerySchema, request.query);
    const page = await listEndpoints(listing, {
      tenantId: tenantOf(response),
      after: after ?? null,
      before: before ?? null,
      limit,
    });
    response.json(
      toList(
        page.endpoints.map((endpoint) => toEndpointObject(endpoint)),
        page.hasMore,
      ),
    );
  });

  router.get('/v1/webhook_endpoints/:id', async (request, response) => {
    const endpoint = await findEndpoint(database, tenantOf(response), request.params.id);
    if (!endpoint) throw notFound(request);
    response.json(toEndpointObject(endpoint));
  });

  router.patch('/v1/webhook_endpoints/:id', async (request, response) => {
    const patch = parseBody(webhookEndpointPatchSchema, request.body);
    if (patch.url !== undefined) checkWebhookUrl(patch.url, listedHosts);
    const endpoint = await patchEndpoint(database, tenantOf(response), request.params.id, patch);
    if (!endpoint) throw notFound(request);
    response.json(toEndpointObject(endpoint));
  });

  router.delete('/v1/webhook_endpoints/:id', async (request, response) => {
    if (!(await deleteEndpoint(database, tenantOf(response), request.params.id))) throw notFound(request);
    response.status(204).end();
  });

  router.post('/v1/webhook_endpoints/:id/rotate_secret', async (request, response) => {
    const rotated = await rotateSecret(database, tenantOf(response), request.params.id, SECRET_OVERLAP_MS);
    if (rotated.outcome === 'unknown') throw notFound(request);
    if (rotated.outcome === 'too_often') throw rotatedTooOften(rotated.retryAfterMs);
    response.json(toEndpointObject(rotated.endpoint, rotated.secret));
  });

  router.get('/v1/webhook_deliveries', async (request, response) => {
    const query = parseBody(deliveryListQuerySchema, request.query);
    const page = await listDeliveries(listing, {
      tenantId: tenantOf(response),
      jobId: query.job_id ?? null,
      endpointId: query.endpoint_id ?? null,
      status: query.status ?? null,
      after: query.after ?? null,
      before: query.before ?? null,
      limit: query.limit,
    });
    response.json(toList(page.deliveries.map(toDeliveryObject), page.hasMore));
  });

  router.get('/v1/webhook_deliveries/:id', async (request, response) => {
    const delivery = await findDelivery(database, tenantOf(response), request.params.id);
    if (!delivery) throw notFound(request);
    response.json(toDeliveryObject(delivery));
  });

  router.post('/v1/webhook_deliveries/:id/redeliver', async (request, response) => {
    const { id } = request.params;
    const result = await redeliver(database, tenantOf(response), id);
    if (result.outcome === 'unknown') throw notFound(request);
    if (result.outcome === 'pending')
      throw new ProblemError('delivery_not_final', 'The delivery is still being tried.');
    if (result.outcome === 'endpoint_disabled')
      throw new ProblemError(
        'webhook_endpoint_disabled',
        'The endpoint of this delivery is disabled or deleted; enable it first.',
      );
    await wake(dependencies, id, result.fence);
    const delivery = await findDelivery(database, tenantOf(response), id);
    if (!delivery) throw notFound(request);
    response.status(202).json(toDeliveryObject(delivery));
  });

  return router;
}

/** The ledger has the delivery; when the queue cannot be reached, the reconciler wakes it some seconds later. */
async function wake(
  { enqueueDelivery, log }: WebhookRouteDependencies,
  deliveryId: string,
  fence: number,
): Promise<void> {
  try {
    await enqueueDelivery(deliveryId, fence, 0);
  } catch (error) {
    log.warn({ delivery: deliveryId, fence, err: error }, 'a delivery could not be put on the queue');
  }
}

function tenantOf(response: Response): string {
  return identityOf(response).tenantId;
}

function tooManyEndpoints(): ProblemError {
  return new ProblemError(
    'validation_failed',
    `The tenant has ${MOST_ENDPOINTS} webhook endpoints, as many as it may have; delete one that is not used.`,
  );
}

function rotatedTooOften(retryAfterMs: number): ProblemError {
  return new ProblemError(
    'rate_limited',
    'As many replaced secrets of this endpoint sign as may; it can be rotated again when the first of them has ended.',
    { retryAfterMs },
  );
}

function notFound(request: Request): ProblemError {
  return new ProblemError('not_found', `There is nothing at ${request.path}.`);
}
