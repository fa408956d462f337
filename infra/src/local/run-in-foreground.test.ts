import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { spawnApp, waitFor, type SpawnedApp } from '@millrace/test-support';
import { writeStandInApps } from './stand-in-apps.ts';

let directory: string;
let entry: string;
let app: SpawnedApp | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-foreground-'));
  const entries = writeStandInApps(join(directory, 'apps'));
  entry = join(directory, 'start.ts');
  const door = join(import.meta.dirname, 'run-in-foreground.ts');
  await writeFile(
    entry,
    `import { runInForeground } from ${JSON.stringify(door)};
     process.exitCode = await runInForeground(${JSON.stringify(entries)});`,
  );
});
afterEach(async () => {
  await app?.kill('SIGKILL');
  await waitFor(() => processesOfTheStack().length === 0, {
    timeoutMs: 15_000,
    what: () => `every process of the stack to end; left: ${processesOfTheStack().join('; ')}`,
  });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function start(environment: Record<string, string> = {}): Promise<SpawnedApp> {
  app = await spawnApp({
    app: entry,
    environment: {
      MILLRACE_DATA_DIR: join(directory, 'data'),
      MILLRACE_PORT: '0',
      ...(process.env.MILLRACE_CACHE_DIR ? { MILLRACE_CACHE_DIR: process.env.MILLRACE_CACHE_DIR } : {}),
      ...environment,
    },
  });
  return app;
}

/** Whatever names the test's directory in its command line: apps, servers, guards. Zombies have no command line. */
function processesOfTheStack(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === app?.process.pid) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return command.includes(directory) ? [command.slice(0, 120)] : [];
    } catch {
      return [];
    }
  });
}

test('the banner shows where everything is, and Ctrl-C stops all of it with exit code 0', async () => {
  const stack = await start();
  await stack.waitForLine(/Ctrl-C stops everything/);
  const shown = stack.logs().join('\n');
  expect(shown).toMatch(/Queues +http:\/\/127\.0\.0\.1:\d+\/admin\/queues/);
  expect(shown).toMatch(/Key +mr_[a-z0-9]{12}_[A-Za-z0-9]{40}/);
  expect(shown).toMatch(/PostgreSQL +embedded/);
  expect(shown).toMatch(/Providers +simulator, http:/);
  expect(shown).toMatch(/^worker-1 +\d\d:\d\d:\d\d\.\d{3} listening url=http/m);
  expect(shown).not.toContain('\u001b[');
  expect(await stack.kill('SIGINT')).toEqual({ code: 0, signal: null });
  expect(processesOfTheStack()).toEqual([]);
});

test.each(['SIGTERM', 'SIGHUP'] as const)('%s stops everything, too', async (signal) => {
  const stack = await start();
  await stack.waitForLine(/Ctrl-C stops everything/);
  expect(await stack.kill(signal)).toEqual({ code: 0, signal: null });
  expect(processesOfTheStack()).toEqual([]);
});

test('a signal during the start ends it cleanly', async () => {
  const stack = await start();
  await stack.waitForLine(/simulator/);
  expect(await stack.kill('SIGINT')).toEqual({ code: 0, signal: null });
  expect(processesOfTheStack()).toEqual([]);
});

test('a second signal kills an app that takes its time', async () => {
  const stack = await start({ STAND_IN_IGNORES_SIGNALS: 'api' });
  await stack.waitForLine(/Ctrl-C stops everything/);
  stack.process.signal('SIGINT');
  await stack.waitForLine(/worker-1 .*stopped/);
  // One Ctrl-C that arrives twice counts once, so this sends until one counts as the second.
  const sendAgain = (): boolean => stack.process.signal('SIGINT') && false;
  await waitFor(() => sendAgain() || !stack.process.isRunning(), {
    timeoutMs: 15_000,
    intervalMs: 350,
    what: 'the stack to end',
  });
  expect(stack.logs().join('\n')).toContain('SIGINT: killing');
  expect(await stack.exited).toEqual({ code: 130, signal: null });
});

test('when the stack is killed, no process of it is left', async () => {
  const stack = await start();
  await stack.waitForLine(/Ctrl-C stops everything/);
  expect(processesOfTheStack().length).toBeGreaterThan(5);
  await stack.kill('SIGKILL');
  await waitFor(() => processesOfTheStack().length === 0, {
    timeoutMs: 15_000,
    what: 'the guards to do their work',
  });
});

test('with the log format json every line is an object and the key is in none of them', async () => {
  const stack = await start({ MILLRACE_LOG_FORMAT: 'json' });
  await stack.waitForLine(/ready at/);
  await stack.kill('SIGINT');
  const entries = stack.logs().map((line) => JSON.parse(line) as { msg?: string });
  expect(entries.length).toBeGreaterThan(10);
  expect(stack.logs().join('\n')).not.toMatch(/mr_[a-z0-9]{12}_/);
});

test('a setting that cannot be used is named and nothing is started', async () => {
  const stack = await start({ MILLRACE_PORT: 'http' });
  expect((await stack.exited).code).not.toBe(0);
  expect(stack.logs().join('\n')).toContain('MILLRACE_PORT="http"');
});
