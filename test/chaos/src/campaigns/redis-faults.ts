import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { downAtStart, frozen, signalled } from './store-fault.ts';
import type { StoreFault } from './store-fault.ts';

/** What befalls Redis. */
export const redisFaults: readonly StoreFault[] = [
  signalled('redis', 'kill', 'SIGKILL'),
  signalled('redis', 'restart', 'SIGTERM'),
  frozen('redis', 20_000),
  frozen('redis', 60_000),
  downAtStart('redis'),
  {
    kind: 'redis.flushall',
    target: 'redis',
    lastsMs: 1_000,
    inject: (stack) => order(stack, async (redis) => (await redis.flushall()) === 'OK'),
  },
  {
    kind: 'redis.client-kill',
    target: 'redis',
    lastsMs: 3_000,
    inject: (stack) =>
      order(stack, async (redis) => {
        let killed = 0;
        for (let round = 0; round < 6; round += 1) {
          for (const type of ['normal', 'pubsub']) {
            killed += Number(await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes'));
          }
          await pause(500);
        }
        return killed > 0;
      }),
  },
  {
    kind: 'redis.memory-limit',
    target: 'redis',
    lastsMs: 10_000,
    inject: (stack) =>
      order(stack, async (redis) => {
        // With `noeviction` every command that could need memory is refused.
        await redis.config('SET', 'maxmemory', '1');
        await pause(10_000);
        await redis.config('SET', 'maxmemory', '0');
        return true;
      }),
  },
];

async function order(stack: ChaosStack, work: (redis: Redis) => Promise<boolean>): Promise<boolean> {
  const redis = new Redis(stack.redisUrl, { maxRetriesPerRequest: 3 });
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
