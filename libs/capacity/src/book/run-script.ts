import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

/** A Redis script, ready to be sent by its hash. */
export interface RedisScript {
  readonly lua: string;
  readonly sha1: string;
}

/** Prepares a script's text. */
export function redisScript(lua: string): RedisScript {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') };
}

/** Runs a script by its hash, and by its text where the server does not know it (yet, or after a restart). */
export async function runScript(
  redis: Redis,
  script: RedisScript,
  keys: readonly string[],
  parameters: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha1, keys.length, ...keys, ...parameters);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script.lua, keys.length, ...keys, ...parameters);
  }
}
