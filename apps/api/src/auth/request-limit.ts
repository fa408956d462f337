import { gather } from '@millrace/ledger';
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

/** The counters only count; the limit is the tenant's and compared here. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;
/** An answer from Redis that is not here by then is not worth a client's waiting. */
const PATIENCE_MS = 250;
/** After a failure Redis is left alone for so long. */
const DISTRUST_MS = 2_000;

/** Counts requests in Redis for the whole fleet; requests that arrive together share one round trip. */
export function createRequestLimit(options: RequestLimitOptions): TakeRequest {
  const window = { points: UNLIMITED, duration: LIMIT_WINDOW_S };
  const fleet = new RateLimiterRedis({
    ...window,
    storeClient: options.redis,
    keyPrefix: options.keyPrefix,
    rejectIfRedisNotReady: true,
  });
  const alone = new RateLimiterMemory({ ...window, keyPrefix: options.keyPrefix });
  let distrustedUntil = 0;

  const count = async (tenantId: string, requests: number): Promise<RateLimiterRes> => {
    if (performance.now() < distrustedUntil) return alone.consume(tenantId, requests);
    try {
      return await within(PATIENCE_MS, fleet.consume(tenantId, requests));
    } catch (error) {
      distrustedUntil = performance.now() + DISTRUST_MS;
      options.onError(error);
      return alone.consume(tenantId, requests);
    }
  };

  const take = gather<{ tenantId: string; limit: number }, Allowance>(
    async (requests) => {
      const allowances = new Map<(typeof requests)[number], Allowance>();
      const byTenant = Map.groupBy(requests, (request) => request.tenantId);
      await Promise.all(
        [...byTenant].map(async ([tenantId, group]) => {
          const counted = await count(tenantId, group.length);
          group.forEach((request, index) => {
            const position = counted.consumedPoints - group.length + index + 1;
            allowances.set(request, {
              allowed: position <= request.limit,
              limit: request.limit,
              remaining: Math.max(0, request.limit - position),
              resetMs: counted.msBeforeNext,
            });
          });
        }),
      );
      return requests.map((request) => allowances.get(request) as Allowance);
    },
    { maxItems: 1_000, concurrency: 1 },
  );
  return (tenantId, limit) => take({ tenantId, limit });
}

async function within<Result>(ms: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis did not count within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, patience]);
  } finally {
    clearTimeout(timer);
  }
}
