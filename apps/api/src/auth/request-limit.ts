import { orLate } from '@millrace/contracts';
import type { connectRedis } from '@millrace/redis';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import type { RateLimiterRes } from 'rate-limiter-flexible';

/** What is left of a tenant's requests in the running minute. */
export interface Allowance {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Until the next minute begins. */
  resetMs: number;
}

/** Takes one request from a tenant's minute. Never throws: without Redis each process counts by itself. */
export type TakeRequest = (tenantId: string, limit: number) => Promise<Allowance>;

export interface RequestLimitOptions {
  /** A connection of the role `producer`. */
  redis: ReturnType<typeof connectRedis>;
  keyPrefix: string;
  onError: (error: unknown) => void;
}

export const LIMIT_WINDOW_S = 60;

/**
 * A process takes this part of a limit at a time, so that not every request waits for Redis. What it has not used when the minute
 * ends is lost, so a fleet of ten may refuse some 5 % early; limits below this number are counted one by one.
 */
const PARTS = 200;
const MOST_TENANTS = 10_000;

/** Requests that this process may still let in without asking. */
interface Lease {
  limit: number;
  available: number;
  /** What is left for the whole fleet besides. */
  remaining: number;
  resetAt: number;
}

/** Counts requests in Redis for the whole fleet, in windows of a minute that begin with a tenant's first request. */
export function createRequestLimit(options: RequestLimitOptions): TakeRequest {
  const count = createCounter(options);
  const leases = new Map<string, Lease>();
  const refills = new Map<string, Promise<void>>();

  const refill = async (tenantId: string, limit: number): Promise<void> => {
    const wanted = Math.max(1, Math.floor(limit / PARTS));
    const counted = await count(tenantId, wanted);
    const over = Math.max(0, counted.consumedPoints - limit);
    if (leases.size >= MOST_TENANTS) leases.clear();
    leases.set(tenantId, {
      limit,
      available: Math.max(0, wanted - over),
      remaining: Math.max(0, limit - counted.consumedPoints),
      resetAt: performance.now() + counted.msBeforeNext,
    });
  };

  return async (tenantId, limit) => {
    for (;;) {
      const lease = leases.get(tenantId);
      const resetMs = lease ? lease.resetAt - performance.now() : 0;
      if (lease && resetMs > 0 && lease.limit === limit) {
        const allowed = lease.available > 0;
        // An empty lease with nothing left for the fleet stands until the minute is over.
        if (allowed || lease.remaining === 0) {
          if (allowed) lease.available -= 1;
          return { allowed, limit, remaining: lease.remaining + lease.available, resetMs };
        }
      }
      let refilling = refills.get(tenantId);
      if (!refilling) {
        refilling = refill(tenantId, limit).finally(() => refills.delete(tenantId));
        refills.set(tenantId, refilling);
      }
      await refilling;
    }
  };
}

/** The counters only count; the limit is the tenant's and compared here. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;
/** An answer from Redis that is not here by then is not worth a client's waiting. */
const PATIENCE_MS = 250;
/** After a failure Redis is left alone for so long. */
const DISTRUST_MS = 2_000;

/** Adds to a tenant's count, in Redis while it answers, else in this process. */
function createCounter(
  options: RequestLimitOptions,
): (tenantId: string, requests: number) => Promise<RateLimiterRes> {
  const window = { points: UNLIMITED, duration: LIMIT_WINDOW_S, keyPrefix: options.keyPrefix };
  const fleet = new RateLimiterRedis({ ...window, storeClient: options.redis, rejectIfRedisNotReady: true });
  const alone = new RateLimiterMemory(window);
  let distrustedUntil = 0;
  return async (tenantId, requests) => {
    if (performance.now() < distrustedUntil) return alone.consume(tenantId, requests);
    try {
      return await orLate(fleet.consume(tenantId, requests), PATIENCE_MS, () => {
        throw new Error(`Redis did not count within ${PATIENCE_MS} ms`);
      });
    } catch (error) {
      distrustedUntil = performance.now() + DISTRUST_MS;
      options.onError(error);
      return alone.consume(tenantId, requests);
    }
  };
}
