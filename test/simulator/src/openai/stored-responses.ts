import type { JsonHandler } from '../http/serve-json.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import type { ResponseStore } from './response-store.ts';
import { invalid } from './request-checks.ts';

function notFound(id: string): VendorError {
  return vendorError(404, 'invalid_request_error', `Response with id '${id}' not found.`);
}

/** `GET /responses/{id}`. */
export function getResponse(store: ResponseStore): JsonHandler {
  return (_simulator, exchange) => {
    const id = exchange.parameters[0] ?? '';
    return store.find(id) ?? notFound(id);
  };
}

/** `POST /responses/{id}/cancel`: only of background responses; a second cancel changes nothing. */
export function cancelResponse(store: ResponseStore): JsonHandler {
  return (_simulator, exchange) => {
    const id = exchange.parameters[0] ?? '';
    const response = store.find(id);
    if (response === null) return notFound(id);
    if (response['background'] !== true)
      return invalid('Only responses with background=true can be cancelled.', null);
    if (response['status'] !== 'queued' && response['status'] !== 'in_progress') return response;
    const cancelled = { ...response, status: 'cancelled' };
    store.keep(cancelled);
    return cancelled;
  };
}

/** `DELETE /responses/{id}`. */
export function deleteResponse(store: ResponseStore): JsonHandler {
  return (_simulator, exchange) => {
    const id = exchange.parameters[0] ?? '';
    return store.remove(id) ? { id, object: 'response', deleted: true } : notFound(id);
  };
}
