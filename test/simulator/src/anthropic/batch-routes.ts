import type { Exchange } from '../http/exchange.ts';
import { acceptExchange } from '../http/exchange.ts';
import { keyProblem } from '../http/key-check.ts';
import { readBody } from '../http/read-body.ts';
import type { Route } from '../http/routes.ts';
import { sendError } from '../http/send-answer.ts';
import { sendFile } from '../http/send-file.ts';
import { applyFault, serveJson, type JsonHandler } from '../http/serve-json.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import type { Simulator } from '../simulator.ts';
import { cancelBatch } from './advance-batch.ts';
import { batchObject, type MessageBatch } from './batch-record.ts';
import { createMessageBatchStore, type MessageBatchStore } from './batch-store.ts';
import { createBatch } from './create-batch.ts';

/** `/v1/messages/batches` and what is below it. */
export function messageBatchRoutes(simulator: Simulator): readonly Route[] {
  const store = createMessageBatchStore(simulator);
  const route = (method: string, path: string, handler: JsonHandler): Route => ({
    dialect: 'anthropic',
    method,
    path: `/messages/batches${path}`,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });
  const shown = (batch: MessageBatch, exchange: Exchange): object =>
    batchObject(batch, exchange.baseUrl, simulator.clock.nowMs());
  const onBatch =
    (act: (batch: MessageBatch, exchange: Exchange) => object): JsonHandler =>
    async (_simulator, exchange) => {
      const batch = await store.find(exchange.account, exchange.parameters[0] ?? '');
      return batch === null ? notFound(exchange) : act(batch, exchange);
    };
  return [
    {
      dialect: 'anthropic',
      method: 'POST',
      path: '/messages/batches',
      serve: (exchange) => createBatch(simulator, store, exchange),
    },
    route('GET', '', listBatches(store)),
    route('GET', '/{id}', onBatch(shown)),
    route(
      'POST',
      '/{id}/cancel',
      onBatch((batch, exchange) => {
        cancelBatch(simulator, batch);
        return shown(batch, exchange);
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

function listBatches(store: MessageBatchStore): JsonHandler {
  return async (simulator, exchange) => {
    const { account, query, baseUrl } = exchange;
    const limit = Math.min(1_000, Math.max(1, Number(query.get('limit') ?? 20)));
    const all = store.list(account);
    await Promise.all(all.map((batch) => simulator.batches.touch(batch.id)));
    const placeOf = (id: string | null): number | null =>
      id === null ? null : all.findIndex((batch) => batch.id === id);
    const after = placeOf(query.get('after_id'));
    const before = placeOf(query.get('before_id'));
    // Backwards the page ends just before the named batch; otherwise it begins just after it.
    const start = before === null ? (after ?? -1) + 1 : Math.max(0, before - limit);
    const end = before ?? start + limit;
    const data = all.slice(start, end);
    return {
      data: data.map((batch) => batchObject(batch, baseUrl, simulator.clock.nowMs())),
      has_more: before === null ? end < all.length : start > 0,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    };
  };
}

async function serveResults(
  simulator: Simulator,
  store: MessageBatchStore,
  exchange: Exchange,
): Promise<void> {
  const received = await readBody(exchange.request, 1_000);
  if (received === null || received === 'too_large') return;
  acceptExchange(simulator, exchange, received, null);
  const keyError = keyProblem(simulator, exchange);
  const batch = keyError === null ? await store.find(exchange.account, exchange.parameters[0] ?? '') : null;
  const problem = keyError ?? resultsProblem(batch, exchange, simulator.clock.nowMs());
  if (problem !== null || batch === null) {
    if (problem !== null) sendError(simulator, exchange, problem);
    return;
  }
  const fault = await applyFault(simulator, exchange, received, null);
  if (fault === 'answered') return;
  const file = {
    path: batch.results.path,
    bytes: batch.resultBytes,
    headers: { 'content-type': 'application/x-jsonl' },
  };
  const whole = await sendFile(simulator, exchange, file, fault);
  const { account, id: batchId } = batch;
  simulator.journal.note({ event: 'results.read', account, batchId, bytes: exchange.bytesSent, whole });
}

function resultsProblem(batch: MessageBatch | null, exchange: Exchange, nowMs: number): VendorError | null {
  if (batch === null) return notFound(exchange);
  if (batch.endedAtMs === null) {
    return invalid('Message batch has not ended; results are not available yet.');
  }
  if (nowMs >= batch.archivedAtMs) {
    return vendorError(
      404,
      'not_found_error',
      `Results of message batch ${batch.id} are no longer available`,
    );
  }
  const missing = batch.missingUntilMs !== null && nowMs < batch.missingUntilMs;
  return missing ? vendorError(404, 'not_found_error', 'Results not found') : null;
}
