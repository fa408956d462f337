import { deliveryWakeSchema } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import { createConsumer, webhooksQueue } from '@millrace/transport';
import type { Consumer } from '@millrace/transport';
import type { Redis } from '../open-stores.ts';

const DELIVERIES_AT_A_TIME = 32;

/** Delivers the webhooks that are woken. */
export function createDeliveryConsumer(options: {
  /** A connection of the role `worker`. */
  redis: Redis;
  names: KeyNames;
  deliver: (deliveryId: string) => Promise<void>;
  onError: (error: unknown) => void;
}): Consumer {
  const { redis, names, deliver, onError } = options;
  return createConsumer({
    redis,
    names,
    queue: webhooksQueue,
    concurrency: DELIVERIES_AT_A_TIME,
    payload: deliveryWakeSchema,
    handle: ({ deliveryId }) => deliver(deliveryId),
    onError,
    onFailure: onError,
  });
}
