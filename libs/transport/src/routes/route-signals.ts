import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';

/**
 * Tells every process that a route was changed, so that it looks into the ledger at once. Does not throw: who misses it
 * looks within a second anyway.
 */
export async function announceRouteChange(
  redis: Redis,
  names: KeyNames,
  onError: (error: unknown) => void,
): Promise<void> {
  await redis.publish(names.routesChannel, '').catch(onError);
}

/** Calls `listener` for every announced change of a route; returns the function that ends it. `subscriber` has the role of that name. */
export function onRouteChange(
  subscriber: Redis,
  names: KeyNames,
  listener: () => void,
  onError: (error: unknown) => void,
): () => void {
  const onMessage = (channel: string): void => {
    if (channel === names.routesChannel) listener();
  };
  subscriber.on('message', onMessage);
  // Waits for the connection, and is renewed by it.
  subscriber.subscribe(names.routesChannel).catch(onError);
  return () => void subscriber.off('message', onMessage);
}
