import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasDistributionPackages } from './fetch-distribution-package.ts';
import { resolveRedisServer } from './resolve-redis-server.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-resolve-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A program that says of itself what a server says. */
async function putProgram(folder: string, name: string, says: string): Promise<void> {
  await writeFile(join(folder, name), `#!/bin/sh\necho '${says}'\n`);
  await chmod(join(folder, name), 0o755);
}

test('a valkey-server on the path comes before a redis-server', async () => {
  const folder = await mkdtemp(join(directory, 'path-'));
  await putProgram(folder, 'redis-server', 'Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64 build=0');
  await putProgram(
    folder,
    'valkey-server',
    'Valkey server v=8.1.1 sha=00000000:0 malloc=libc bits=64 build=0',
  );
  const environment = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  expect(await resolveRedisServer(environment)).toEqual({
    command: 'valkey-server',
    environment: {},
    source: 'path',
    version: '8.1.1',
  });
});

test('a server on the path that is too old is passed over, and said to be', async () => {
  const folder = await mkdtemp(join(directory, 'path-'));
  await putProgram(
    folder,
    'valkey-server',
    'Redis server v=4.0.9 sha=00000000:0 malloc=libc bits=64 build=0',
  );
  await putProgram(folder, 'redis-server', 'Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64 build=0');
  const lines: string[] = [];
  const environment = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  const { command } = await resolveRedisServer(environment, (line) => lines.push(line));
  expect(command).toBe('redis-server');
  expect(lines).toEqual([expect.stringContaining('4.0.9')]);
});

test.runIf(hasDistributionPackages())(
  'processes that fetch the package at the same time end up with one and the same server',
  { timeout: 120_000 },
  async () => {
    const cache = join(directory, 'a cache');
    // A path without any server program, but with what unpacks one.
    const folder = await mkdtemp(join(directory, 'path-'));
    await putProgram(folder, 'redis-server', 'Redis server v=3.0.0');
    await putProgram(folder, 'valkey-server', 'Redis server v=3.0.0');
    const environment = {
      ...process.env,
      PATH: `${folder}${delimiter}${process.env.PATH}`,
      MILLRACE_CACHE_DIR: cache,
    };
    const [first, second] = await Promise.all([
      resolveRedisServer(environment),
      resolveRedisServer(environment),
    ]);
    expect(first.source).toBe('distribution package');
    expect(first.command.startsWith(cache)).toBe(true);
    expect(second).toEqual(first);
    expect(await readdir(join(cache, 'redis'))).toHaveLength(1);
  },
);
