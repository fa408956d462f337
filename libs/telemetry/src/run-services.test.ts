import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
