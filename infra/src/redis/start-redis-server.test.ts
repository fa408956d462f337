import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor, withTimeout } from '@millrace/test-support';
import { DirectoryInUseError } from '../processes/own-directory.ts';
import { killGuardOf, ownInAnotherProcess } from '../processes/own-in-another-process.ts';
import { identifyProcess } from '../processes/process-identity.ts';
import { startRedisServer } from './start-redis-server.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const start = () => startRedisServer({ dataDirectory: directory, appendOnly: true });

async function withRedis<Result>(url: string, work: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

test('a Redis keeps its keys over a restart, evicts nothing, and leaves no process', async () => {
  const first = await start();
  await withRedis(first.url, async (redis) => {
    expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    expect(await redis.config('GET', 'save')).toEqual(['save', '']);
    expect(await redis.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
    await redis.set('kept', '42');
  });
  await first.stop();
  await first.stop();
  expect(identifyProcess(first.pid)).toBeNull();

  const second = await start();
  expect(await withRedis(second.url, (redis) => redis.get('kept'))).toBe('42');
  await second.stop();
});

test('a server that was killed has its keys again at the next start', async () => {
  const killed = await start();
  await withRedis(killed.url, (redis) => redis.set('written', '7'));
  process.kill(killed.pid, 'SIGKILL');
  expect(await withTimeout(killed.died, 5_000, 'the death to be noticed')).toContain('SIGKILL');
  await killed.stop();

  const recovered = await start();
  expect(await withRedis(recovered.url, (redis) => redis.get('written'))).toBe('7');
  await recovered.stop();
});

test('a directory in use is refused', async () => {
  const server = await start();
  await expect(start()).rejects.toThrow(DirectoryInUseError);
  await server.stop();
});

test('the server ends when its owner is killed', async () => {
  const owner = await ownInAnotherProcess('startRedisServer', { dataDirectory: directory, appendOnly: true });
  owner.kill();
  await waitFor(() => identifyProcess(owner.serverPid) === null, { what: 'the guard to stop the server' });
});

test('a server that still runs because its guard was killed too is stopped by the next start', async () => {
  const owner = await ownInAnotherProcess('startRedisServer', { dataDirectory: directory, appendOnly: true });
  await killGuardOf(owner.serverPid);
  owner.kill();
  await waitFor(() => identifyProcess(owner.pid) === null, { what: 'the owner to be gone' });
  expect(identifyProcess(owner.serverPid)).not.toBeNull();

  const server = await start();
  expect(identifyProcess(owner.serverPid)).toBeNull();
  await server.stop();
});
