import { readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '@millrace/test-support';
import { PortInUseError } from '../network/start-on-port.ts';
import { DirectoryInUseError } from '../processes/own-directory.ts';
import { identifyProcess } from '../processes/process-identity.ts';
import type { Entries } from './entries.ts';
import { writeStandInApps } from './stand-in-apps.ts';
import { startLocalStack, type LocalStack, type LocalStackRequest } from './start-local-stack.ts';

let directory: string;
let entries: Entries;
const stacks: LocalStack[] = [];
let lines: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-stack-'));
  entries = writeStandInApps(join(directory, 'apps'));
});
afterEach(async () => {
  await Promise.all(stacks.splice(0).map((stack) => stack.stop()));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function start(change: Partial<LocalStackRequest> = {}): Promise<LocalStack> {
  lines = [];
  const { PATH, HOME, MILLRACE_CACHE_DIR } = process.env;
  const stack = await startLocalStack({
    dataDirectory: join(directory, 'data'),
    port: 0,
    workers: 2,
    onLog: ({ source, line }) => lines.push(`${source}: ${line}`),
    entries,
    ...change,
    environment: { PATH, HOME, MILLRACE_CACHE_DIR, ...change.environment },
  });
  stacks.push(stack);
  return stack;
}

const environmentOf = async (url: string | null): Promise<Record<string, string>> =>
  (await (await fetch(`${url}/environment`)).json()) as Record<string, string>;

const pidsOf = (stack: LocalStack): number[] =>
  [...stack.processes.map((each) => each.pid), ...Object.values(stack.serverPids())].filter(
    (pid) => pid !== null,
  );

test('everything starts, knows of each other, and is gone after the stop', async () => {
  const stack = await start();
  expect(stack.processes.map((each) => each.name)).toEqual([
    'api',
    'scheduler',
    'worker-1',
    'worker-2',
    'simulator',
  ]);
  const environment = await environmentOf(stack.apiUrl);
  expect(environment).toEqual({
    DATABASE_URL: stack.databaseUrl,
    REDIS_URL: stack.redisUrl,
    OPENAI_BASE_URL: `${stack.simulatorUrl}/openai/v1`,
    OPENAI_API_KEY: expect.any(String) as string,
    ANTHROPIC_BASE_URL: `${stack.simulatorUrl}/anthropic`,
    MILLRACE_BOOTSTRAP_KEY: stack.bootstrapKey,
    MILLRACE_PORT: '0',
  });
  expect((await environmentOf(stack.simulatorUrl)).SIMULATOR_JOURNAL).toBe(stack.simulatorJournalPath);

  const pids = pidsOf(stack);
  expect(pids).toHaveLength(7);
  const reports = await stack.stop();
  expect(reports.filter((report) => report.killed)).toEqual([]);
  expect(pids.filter((pid) => identifyProcess(pid) !== null)).toEqual([]);
  // Apps first, and the simulator after them.
  const order = lines.filter((line) => line.includes('"stopped"')).map((line) => line.split(':')[0]);
  expect(order.at(-1)).toBe('simulator');
  expect(order).toHaveLength(5);
});

test('the key is made once, kept for its owner only, and found again', async () => {
  const first = await start();
  expect(first.bootstrapKey).toMatch(/^mr_[a-z0-9]{12}_[A-Za-z0-9]{40}$/);
  const file = first.bootstrapKeyOrigin.file!;
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8').trim()).toBe(first.bootstrapKey);
  await first.stop();

  const second = await start();
  expect(second.bootstrapKeyOrigin).toEqual({ key: first.bootstrapKey, source: 'kept', file });
});

test('a key in the environment is used and not kept; a malformed one is refused without being repeated', async () => {
  const key = `mr_abcdefghijkl_${'Z'.repeat(32)}`;
  const stack = await start({ environment: { MILLRACE_BOOTSTRAP_KEY: key } });
  expect(stack.bootstrapKey).toBe(key);
  await stack.stop();
  const refused = start({ environment: { MILLRACE_BOOTSTRAP_KEY: 'hunter2' } });
  await expect(refused).rejects.toThrow('MILLRACE_BOOTSTRAP_KEY is not an API key');
  await expect(refused).rejects.not.toThrow('hunter2');
});

test('with a provider’s key there is no simulator and the key is handed on', async () => {
  const stack = await start({ environment: { OPENAI_API_KEY: 'sk-own' } });
  expect(stack.simulatorUrl).toBeNull();
  expect(stack.processes.map((each) => each.name)).not.toContain('simulator');
  const environment = await environmentOf(stack.apiUrl);
  expect(environment.OPENAI_API_KEY).toBe('sk-own');
  expect(environment.OPENAI_BASE_URL).toBeUndefined();
});

test('a killed app and a killed server come back where they were, and it is said', async () => {
  const stack = await start();
  const api = stack.processes.find((each) => each.name === 'api')!;
  const { redis, postgres } = stack.serverPids();
  api.signal('SIGKILL');
  process.kill(redis!, 'SIGKILL');
  process.kill(postgres!, 'SIGKILL');

  await waitFor(async () => api.restarts === 1 && (await fetch(`${stack.apiUrl}/readyz`)).ok, {
    timeoutMs: 15_000,
    what: 'the API to be back at its address',
  });
  const areBack = (): boolean =>
    ['Redis', 'PostgreSQL'].every((name) => lines.join('\n').includes(`${name} runs again`));
  await waitFor(areBack, { timeoutMs: 15_000, what: 'the servers to be back' });
  expect(lines.join('\n')).toMatch(/local: api \(process \d+\) ended unexpectedly: SIGKILL/);
  expect((await environmentOf(stack.apiUrl)).REDIS_URL).toBe(stack.redisUrl);
  expect(stack.serverPids().redis).not.toBe(redis);
}, 60_000);

test('an app that cannot start ends the start with its last words, and nothing is left', async () => {
  await expect(start({ environment: { STAND_IN_FAILS: 'worker' } })).rejects.toThrow(
    /worker-\d .* exit code 78[^]*does not like its configuration/,
  );
  const stack = await start();
  expect(stack.apiUrl).toMatch(/^http:/);
});

test('an app that does not stop is killed after the grace, and named', async () => {
  const stack = await start({ environment: { STAND_IN_IGNORES_SIGNALS: 'scheduler' }, stopGraceMs: 200 });
  const reports = await stack.stop();
  expect(reports.filter((report) => report.killed)).toEqual([{ name: 'scheduler', killed: true }]);
});

test('a second stack on the same data is refused, the first goes on', async () => {
  const stack = await start();
  const second = start();
  await expect(second).rejects.toThrow(DirectoryInUseError);
  await expect(second).rejects.toThrow(`process ${process.pid} runs Millrace on it`);
  expect((await fetch(`${stack.apiUrl}/readyz`)).status).toBe(200);
});

test('a port in use is named, with what to do, before anything is started', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const refused = start({ port });
  await expect(refused).rejects.toThrow(PortInUseError);
  await expect(refused).rejects.toThrow(new RegExp(`port ${port} .* MILLRACE_PORT`));
  expect(lines).toEqual([]);
  await new Promise((resolve) => other.close(resolve));
});

test('a start that is given up stops what it had started', async () => {
  const giveUp = new AbortController();
  const onLog: LocalStackRequest['onLog'] = ({ source }) => {
    if (source === 'simulator') giveUp.abort(new Error('changed my mind'));
  };
  await expect(start({ signal: giveUp.signal, onLog })).rejects.toThrow('changed my mind');
  await start();
});
