import { stringOf, type JsonObject } from '../json-value.ts';
import { createLruCache } from '../lru-cache.ts';

/** Responses that were stored, the newest few thousand. */
export interface ResponseStore {
  keep(response: JsonObject): void;
  find(id: string): JsonObject | null;
  remove(id: string): boolean;
}

export function createResponseStore(): ResponseStore {
  const responses = createLruCache<JsonObject>(5_000);
  return {
    keep(response) {
      const id = stringOf(response['id']);
      if (id !== null) responses.set(id, response);
    },
    find: (id) => responses.get(id) ?? null,
    remove: (id) => responses.delete(id),
  };
}
