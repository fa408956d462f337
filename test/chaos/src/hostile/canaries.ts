import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';

/** Texts that must never leave their place. */
export const canaries = {
  prompt: 'canary-prompt-7d1f',
  system: 'canary-system-3c9a',
  input: 'canary-input-5e2b',
  answer: 'canary-answer-8a4d',
  hookPath: 'canary-hook-1b6c',
  providerKey: 'sk-canary-provider-4f0e',
} as const;

/** Where a canary was seen that must not be there. */
export interface Sighting {
  canary: string;
  place: string;
}

/**
 * Looks for the canaries, and for the secret of every key given, in all logs, metrics, pages of the board, errors, and in
 * everything that Redis holds in memory and on disk.
 */
export async function findCanaries(
  stack: ChaosStack,
  secrets: Readonly<Record<string, string>>,
  errors: readonly string[],
): Promise<Sighting[]> {
  const wanted = Object.entries({ ...canaries, ...secrets, control });
  const sightings: Sighting[] = [];
  const look = (place: string, text: string): void => {
    for (const [canary, value] of wanted) if (text.includes(value)) sightings.push({ canary, place });
  };
  for (const line of stack.logs()) look(`the log: ${line.slice(0, 60)}`, line);
  for (const { name, url } of stack.processes) look(`the metrics of ${name}`, await textOf(`${url}/metrics`));
  for (const path of ['/readyz', '/livez', '/openapi.json', '/docs'])
    look(path, await textOf(`${stack.apiUrl}${path}`));
  for (const path of [
    '/admin/queues',
    '/admin/queues/api/queues',
    '/admin/queues/api/queues?activeQueue=jobs&status=latest',
  ]) {
    look(`the board: ${path}`, await textOf(`${stack.apiUrl}${path}`, stack.bootstrapKey));
  }
  for (const error of errors) look('an error', error);
  const redis = new Redis(stack.redisUrl);
  await redis.xadd(`${control}-key`, '*', 'text', control);
  await lookIntoRedis(stack, look);
  await redis.del(`${control}-key`);
  redis.disconnect();
  for (const path of filesIn(join(stack.directory, 'stack', 'redis')))
    look(`the file ${path}`, readFileSync(path, 'latin1'));
  const isBlind = sightings.filter(({ canary }) => canary === 'control').length < 2;
  return [
    ...sightings.filter(({ canary }) => canary !== 'control'),
    ...(isBlind ? [{ canary: 'control', place: 'neither in memory nor on disk: the search is blind' }] : []),
  ];
}

async function textOf(url: string, key?: string): Promise<string> {
  const response = await fetch(url, key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } });
  return response.text();
}

/** A text of our own, put where canaries must not be: a search that does not find it is blind. */
const control = 'canary-control-9d3e';

async function lookIntoRedis(stack: ChaosStack, look: (place: string, text: string) => void): Promise<void> {
  const redis = new Redis(stack.redisUrl);
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
    cursor = next;
    for (const key of keys) look(`the Redis key ${key}`, `${key} ${await contentOf(redis, key)}`);
  } while (cursor !== '0');
  redis.disconnect();
}

/** What a key holds, as text. (DUMP would compress it.) */
async function contentOf(redis: Redis, key: string): Promise<string> {
  switch (await redis.type(key)) {
    case 'string':
      return (await redis.get(key)) ?? '';
    case 'hash':
      return JSON.stringify(await redis.hgetall(key));
    case 'list':
      return JSON.stringify(await redis.lrange(key, 0, -1));
    case 'set':
      return JSON.stringify(await redis.smembers(key));
    case 'zset':
      return JSON.stringify(await redis.zrange(key, '0', '-1'));
    case 'stream':
      return JSON.stringify(await redis.xrange(key, '-', '+'));
    default:
      return '';
  }
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile());
}
