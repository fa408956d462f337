import { serveJson, type JsonHandler } from '../http/serve-json.ts';
import type { Exchange } from '../http/exchange.ts';
import { acceptExchange } from '../http/exchange.ts';
import { keyProblem } from '../http/key-check.ts';
import { readBody } from '../http/read-body.ts';
import type { Route } from '../http/routes.ts';
import { sendError, sendWhole } from '../http/send-answer.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import { isObject, listOf, objectOf, stringOf } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import {
  createMessageBatchStore,
  DAY_MS,
  type BatchRequest,
  type MessageBatch,
  type MessageBatchStore,
} from './batch-store.ts';

const MAX_REQUESTS = 100_000;

/** `/v1/messages/batches` and what is below it. */
export function messageBatchRoutes(simulator: Simulator): readonly Route[] {
  const store = createMessageBatchStore(simulator);
  const route = (method: string, path: string, handler: JsonHandler): Route => ({
    dialect: 'anthropic',
    method,
    path: `/messages/batches${path}`,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });
  const onBatch =
    (act: (batch: MessageBatch, exchange: Exchange) => Promise<object> | object): JsonHandler =>
    async (_simulator, exchange) => {
      const batch = await store.find(exchange.account, exchange.parameters[0] ?? '');
      return batch === null ? notFound(exchange) : act(batch, exchange);
    };
  return [
    route('POST', '', createBatch(store)),
    route('GET', '', listBatches(store)),
    route('GET', '/{id}', onBatch(batchObject)),
    route(
      'POST',
      '/{id}/cancel',
      onBatch(async (batch, exchange) => {
        await store.cancel(batch);
        return batchObject(batch, exchange);
      }),
    ),
    route(
      'DELETE',
      '/{id}',
      onBatch((batch) => {
        if (batch.endedAtMs === null)
          return invalid('Message batch cannot be deleted while it is processing.');
        store.remove(batch);
        return { id: batch.id, type: 'message_batch_deleted' };
      }),
    ),
    {
      dialect: 'anthropic',
      method: 'GET',
      path: '/messages/batches/{id}/results',
      serve: (exchange) => serveResults(simulator, store, exchange),
    },
  ];
}

function invalid(message: string): VendorError {
  return vendorError(400, 'invalid_request_error', message);
}

function notFound(exchange: Exchange): VendorError {
  return vendorError(404, 'not_found_error', `Message batch ${exchange.parameters[0] ?? ''} not found`);
}

/** Envelope and ids are checked now; the requests themselves only when they are worked on. */
function createBatch(store: MessageBatchStore): JsonHandler {
  return async (_simulator, exchange, body) => {
    const requests = readRequests(listOf(objectOf(body)['requests']));
    if ('status' in requests) return requests;
    const version = String(exchange.request.headers['anthropic-version']);
    return batchObject(await store.create(exchange.account, version, requests), exchange);
  };
}

function readRequests(items: readonly unknown[]): readonly BatchRequest[] | VendorError {
  if (items.length === 0) return invalid('requests: List should have at least 1 item after validation');
  if (items.length > MAX_REQUESTS)
    return invalid(`requests: List should have at most ${MAX_REQUESTS} items after validation`);
  const seen = new Set<string>();
  const requests: BatchRequest[] = [];
  for (const [index, item] of items.entries()) {
    const customId = stringOf(objectOf(item)['custom_id']);
    const params = objectOf(item)['params'];
    if (customId === null || !/^[A-Za-z0-9_-]{1,64}$/.test(customId)) {
      return invalid(`requests.${index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`);
    }
    if (seen.has(customId)) return invalid(`requests.${index}.custom_id: duplicate custom_id '${customId}'`);
    if (!isObject(params)) return invalid(`requests.${index}.params: Field required`);
    seen.add(customId);
    requests.push({ customId, params });
  }
  return requests;
}

function listBatches(store: MessageBatchStore): JsonHandler {
  return async (_simulator, exchange) => {
    const limit = Math.min(1_000, Math.max(1, Number(exchange.query.get('limit') ?? 20)));
    const after = exchange.query.get('after_id');
    const all = await store.list(exchange.account);
    const start = after === null ? 0 : all.findIndex((batch) => batch.id === after) + 1;
    const data = all.slice(start, start + limit).map((batch) => batchObject(batch, exchange));
    return {
      data,
      has_more: start + limit < all.length,
      first_id: all[start]?.id ?? null,
      last_id: all[Math.min(all.length, start + limit) - 1]?.id ?? null,
    };
  };
}

/** While a batch runs everything counts as processing; the other counts stay 0 until it has ended. */
function batchObject(batch: MessageBatch, exchange: Exchange): object {
  const ended = batch.endedAtMs !== null;
  const count = (type: string): number =>
    ended ? batch.results.filter((result) => result.type === type).length : 0;
  return {
    id: batch.id,
    type: 'message_batch',
    processing_status: ended ? 'ended' : batch.cancelInitiatedAtMs === null ? 'in_progress' : 'canceling',
    request_counts: {
      processing: ended ? 0 : batch.requests.length,
      succeeded: count('succeeded'),
      errored: count('errored'),
      canceled: count('canceled'),
      expired: count('expired'),
    },
    created_at: instant(batch.createdAtMs),
    expires_at: instant(batch.createdAtMs + DAY_MS),
    ended_at: instant(batch.endedAtMs),
    cancel_initiated_at: instant(batch.cancelInitiatedAtMs),
    archived_at: null,
    results_url: ended ? `${exchange.baseUrl}/v1/messages/batches/${batch.id}/results` : null,
  };
}

function instant(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

async function serveResults(
  simulator: Simulator,
  store: MessageBatchStore,
  exchange: Exchange,
): Promise<void> {
  const received = await readBody(exchange.request, 1_000);
  if (received === null || received === 'too_large') return;
  acceptExchange(simulator, exchange, received, null);
  const problem = keyProblem(simulator, exchange);
  const batch = problem === null ? await store.find(exchange.account, exchange.parameters[0] ?? '') : null;
  if (batch === null || batch.endedAtMs === null) {
    sendError(
      simulator,
      exchange,
      problem ??
        (batch === null
          ? notFound(exchange)
          : invalid('Message batch has not ended; results are not available yet.')),
    );
    return;
  }
  const body = batch.results.map((result) => `${result.line}\n`).join('');
  sendWhole(simulator, exchange, 200, { 'content-type': 'application/x-jsonl' }, body, {});
}
