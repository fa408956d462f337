/**
 * A process for `killed-owners.test.ts`: books calls, says so, and holds them with a heartbeat until it is killed.
 * Environment: REDIS_URL, PREFIX, POOL, LIMITS (JSON), CALLS, LEASE_MS.
 */
import { connectRedis, keyNames } from '@millrace/redis';
import { createCapacityBook } from '../book/capacity-book.ts';
import type { DomainLimits } from '../domain/domain-limits.ts';
import { mustLeave } from './must-leave.ts';

const { REDIS_URL = '', PREFIX = '', POOL = '', LIMITS = '{}', CALLS = '1', LEASE_MS = '1000' } = process.env;
const onError = (error: unknown): void => {
  throw error;
};
const redis = connectRedis({ url: REDIS_URL, role: 'worker', name: 'holder', onError });
const book = createCapacityBook({
  redis,
  names: keyNames(PREFIX),
  onError,
  domains: new Map([[POOL, JSON.parse(LIMITS) as DomainLimits]]),
  leaseMs: Number(LEASE_MS),
});
setInterval(() => void book.renew(), Number(LEASE_MS) / 3);
for (let calls = 0; calls < Number(CALLS); calls += 1) {
  await mustLeave(book, POOL, { inputTokens: 0, maxOutputTokens: 100 });
}
process.stdout.write('holding\n');
