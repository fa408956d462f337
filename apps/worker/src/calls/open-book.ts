import { createBreakers, createCapacityBook, createOutputEstimator } from '@millrace/capacity';
import type { BookHooks, Breakers, CapacityBook, OutputEstimator } from '@millrace/capacity';
import type { PoolConfig } from '@millrace/config';
import type { Service } from '@millrace/contracts';
import type { connectRedis, KeyNames } from '@millrace/redis';
import type { Logger, Metrics } from '@millrace/telemetry';

/** What the fleet knows in common about its providers. */
export interface OpenBook {
  capacity: CapacityBook;
  breakers: Breakers;
  estimator: OutputEstimator;
  /** Keeps the bookings of calls that take long. */
  renewal: Service;
}

/** Opens book, breakers and estimator, and lets logs and metrics hear of them. */
export function openBook(options: {
  redis: ReturnType<typeof connectRedis>;
  names: KeyNames;
  pools: ReadonlyMap<string, PoolConfig>;
  /** After this the place of a dead worker's call is free again. */
  leaseMs: number;
  log: Logger;
  metrics: Metrics;
  /** A target as a metric's label. */
  labelOf: (target: string) => string;
  onError: (error: unknown) => void;
}): OpenBook {
  const { redis, names, leaseMs, log, metrics, labelOf, onError } = options;
  const domains = new Map([...options.pools.values()].map(({ name, limits }) => [name, limits]));
  // An alert on their growth cannot see a counter that begins at 1.
  for (const pool of domains.keys()) {
    metrics.providerRateLimits.inc({ pool }, 0);
    metrics.highUse.inc({ pool }, 0);
  }
  const capacity = createCapacityBook({
    redis,
    names,
    domains,
    hooks: toHooks(log, metrics),
    leaseMs,
    onError,
  });
  const breakers = createBreakers({
    redis,
    names,
    onError,
    onOpened: ({ target, calls, errors }) => {
      metrics.breakersOpened.inc({ target: labelOf(target) });
      log.error({ event: 'breaker_opened', target, count: errors, calls }, 'a target is in trouble');
    },
  });
  const estimator = createOutputEstimator({
    redis,
    names,
    onError,
    onTruth: ({ estimated, produced }) => metrics.outputEstimates.observe(estimated / Math.max(1, produced)),
  });
  let timer: NodeJS.Timeout | null = null;
  return {
    capacity,
    breakers,
    estimator,
    renewal: {
      name: 'renewal of bookings',
      async start() {
        timer = setInterval(() => void capacity.renew(), leaseMs / 3);
      },
      async stop() {
        if (timer) clearInterval(timer);
        timer = null;
      },
    },
  };
}

function toHooks(log: Logger, metrics: Metrics): BookHooks {
  return {
    onLimitChanged: ({ pool, dimension, from, to }) => {
      metrics.limitChanges.inc({ pool, dimension });
      log.info({ event: 'limit_changed', pool, dimension, from, to }, 'the provider named another limit');
    },
    onRefusal: ({ pool, pauseMs, isFirst, slowDown, reading }) => {
      if (!isFirst) return;
      const detail = reading ? JSON.stringify(reading.limits) : undefined;
      log.warn(
        { event: 'refused', pool, retry_after_ms: pauseMs, detail },
        slowDown
          ? 'the provider asks to slow down: the pool fills half of its limits for a time'
          : 'a 429 that the book let through',
      );
    },
    onHighUse: ({ pool }) => {
      metrics.highUse.inc({ pool });
      log.warn({ event: 'high_use', pool }, 'a limit has been used above high_use_share for a minute');
    },
    onLate: ({ pool }) => metrics.lateDepartures.inc({ pool }),
  };
}
