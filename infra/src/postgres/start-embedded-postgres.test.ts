import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor, withTimeout } from '@millrace/test-support';
import { DirectoryInUseError } from '../processes/own-directory.ts';
import { identifyProcess } from '../processes/process-identity.ts';
import { killGuardOf, ownInAnotherProcess } from '../processes/own-in-another-process.ts';
import { startEmbeddedPostgres } from './start-embedded-postgres.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-postgres-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const start = (port?: number) =>
  startEmbeddedPostgres({
    dataDirectory: directory,
    log: () => undefined,
    ...(port === undefined ? {} : { port }),
  });

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a PostgreSQL 18 starts durable, keeps its data over a restart, and leaves no process', async () => {
  const first = await start();
  expect(await query(first.url, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
  expect(await query(first.url, 'SHOW server_version')).toEqual([
    { server_version: expect.stringMatching(/^18\./) as string },
  ]);
  expect(await query(first.url, `SELECT lower('ÄÖ') AS lower`)).toEqual([{ lower: 'äö' }]);
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  await first.stop();
  expect(identifyProcess(first.pid)).toBeNull();

  const second = await start();
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  expect(new URL(second.url).password).toBe(new URL(first.url).password);
  await second.stop();
});

test('the password is readable by its owner only, and a wrong one is refused', async () => {
  expect((await stat(join(directory, 'password'))).mode & 0o777).toBe(0o600);
  const server = await start();
  const wrong = new URL(server.url);
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
  await server.stop();
});

test('a server that was killed recovers what was committed', async () => {
  const killed = await start();
  await query(killed.url, 'CREATE TABLE committed AS SELECT 7 AS answer');
  process.kill(killed.pid, 'SIGKILL');
  expect(await withTimeout(killed.died, 5_000, 'the death to be noticed')).toContain('SIGKILL');
  await killed.stop();

  const recovered = await start();
  expect(await query(recovered.url, 'SELECT answer FROM committed')).toEqual([{ answer: 7 }]);
  await recovered.stop();
});

test('a postmaster.pid whose process is gone, or is another program by now, does not hinder the start', async () => {
  for (const pid of [2 ** 22 + 1, process.pid]) {
    await writeFile(
      join(directory, 'cluster', 'postmaster.pid'),
      `${pid}\n${directory}/cluster\n1\n5432\n\n127.0.0.1\n`,
    );
    const server = await start();
    expect(identifyProcess(process.pid)).not.toBeNull();
    await server.stop();
  }
});

test('a directory in use is refused with the process that has it, and then given back', async () => {
  const server = await start();
  await expect(start()).rejects.toThrow(DirectoryInUseError);
  await expect(start()).rejects.toThrow(String(process.pid));
  expect(await query(server.url, 'SELECT 1 AS alive')).toEqual([{ alive: 1 }]);
  await server.stop();
});

test('a port that is taken is named in the error, and the directory is free afterwards', async () => {
  const other = await mkdtemp(join(tmpdir(), 'millrace-postgres-'));
  const server = await start();
  const port = Number(new URL(server.url).port);
  await expect(startEmbeddedPostgres({ dataDirectory: other, port, log: () => undefined })).rejects.toThrow(
    `port ${port} of 127.0.0.1, wanted for PostgreSQL, is in use`,
  );
  await server.stop();
  const second = await startEmbeddedPostgres({ dataDirectory: other, port, log: () => undefined });
  await second.stop();
  await rm(other, { recursive: true });
});

test('the server ends when its owner is killed', async () => {
  const owner = await ownInAnotherProcess('startEmbeddedPostgres', { dataDirectory: directory });
  owner.kill();
  await waitFor(() => identifyProcess(owner.serverPid) === null, { what: 'the guard to stop the server' });
  const server = await start();
  await server.stop();
});

test('a server that still runs because its guard was killed too is stopped by the next start', async () => {
  const owner = await ownInAnotherProcess('startEmbeddedPostgres', { dataDirectory: directory });
  await killGuardOf(owner.serverPid);
  owner.kill();
  await waitFor(() => identifyProcess(owner.pid) === null, { what: 'the owner to be gone' });
  expect(identifyProcess(owner.serverPid)).not.toBeNull();

  const server = await start();
  expect(identifyProcess(owner.serverPid)).toBeNull();
  expect(await query(server.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  await server.stop();
});
