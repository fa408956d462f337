import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnApp } from '@millrace/test-support';
import type { SpawnedApp } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'millrace-compiled-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

it('leaves compiled code to the process that comes after a kill', async () => {
  const program = `
    import { runServices } from ${JSON.stringify(join(import.meta.dirname, 'run-services.ts'))};
    const service = { name: 'idle', start: async () => undefined, stop: async () => undefined };
    await runServices([service], { graceMs: 1_000, log: console });
    console.log('started');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const kept = await readdir(cache, { recursive: true, withFileTypes: true });
  expect(kept.filter((each) => each.isFile()).length).toBeGreaterThan(0);
}, 30_000);

/** A service that drains until SIGHUP, in a process that says what happens to it. */
async function startService(): Promise<SpawnedApp> {
  const entry = join(cache, 'service.ts');
  const program = `
    import { runServices } from ${JSON.stringify(join(import.meta.dirname, 'run-services.ts'))};
    const drained = new Promise((resolve) => process.on('SIGHUP', resolve));
    const service = {
      name: 'calls',
      start: async () => undefined,
      drain: async () => { console.log('service drains'); await drained; },
      stop: async () => console.log('service stops'),
    };
    const log = { info: () => undefined, error: console.log, fatal: console.log };
    await runServices([service], { graceMs: 60_000, log });
    console.log('started');
    setInterval(() => undefined, 1_000);`;
  await writeFile(entry, program);
  const app = await spawnApp({ app: entry, environment: {} });
  await app.waitForLine(/started/);
  return app;
}

it('drains on SIGUSR2, once and for as long as it takes, and stops then', async () => {
  const app = await startService();
  app.process.signal('SIGUSR2');
  await app.waitForLine(/service drains/);
  app.process.signal('SIGUSR2');
  expect(await app.kill('SIGHUP')).toEqual({ code: 0, signal: null });
  expect(app.logs()).toEqual(['started', 'service drains', 'service stops']);
}, 30_000);

it('stops at once when SIGTERM comes while it drains', async () => {
  const app = await startService();
  app.process.signal('SIGUSR2');
  await app.waitForLine(/service drains/);
  expect(await app.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(app.logs()).toEqual(['started', 'service drains', 'service stops']);
}, 30_000);
