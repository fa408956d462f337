import { stepWakeSchema } from '@millrace/contracts';
import type { StepWake } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Metrics } from '@millrace/telemetry';
import { createConsumer, poolQueue } from '@millrace/transport';
import type { Consumer } from '@millrace/transport';
import type { PoolMeter } from '../fleet/pool-meter.ts';
import type { Redis } from '../open-stores.ts';

/** A consumer for each pool, by the pool's name: it runs the steps that are woken there, and counts them. */
export function createCallConsumers(options: {
  /** A connection of the role `worker`. */
  redis: Redis;
  names: KeyNames;
  pools: readonly string[];
  /** Per pool; the fleet's plan may lower it. */
  concurrency: number;
  meter: PoolMeter;
  callsUnderWay: Metrics['callsUnderWay'];
  /** `place`: where in the order of its pool the step was. */
  runCall: (wake: StepWake, place: number) => Promise<void>;
  onError: (error: unknown) => void;
}): Map<string, Consumer> {
  const { redis, names, concurrency, meter, callsUnderWay, runCall, onError } = options;
  const createPoolConsumer = (pool: string): Consumer =>
    createConsumer({
      redis,
      names,
      queue: poolQueue(pool),
      concurrency,
      payload: stepWakeSchema,
      handle: async (wake, { place }) => {
        callsUnderWay.inc({ pool });
        const ended = meter.begin(pool);
        await runCall(wake, place).finally(() => {
          ended();
          callsUnderWay.dec({ pool });
        });
      },
      onError,
      onFailure: onError,
    });
  return new Map(options.pools.map((pool) => [pool, createPoolConsumer(pool)]));
}
