import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { spawnApp } from './spawn-app.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-spawn-app-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function writeEntry(program: string): Promise<string> {
  const path = join(directory, `entry-${Math.random().toString(36).slice(2)}.ts`);
  await writeFile(path, program);
  return path;
}

test('an entry in TypeScript runs with the environment given and its lines can be awaited', async () => {
  const entry = await writeEntry(`
    const greeting: string = 'hello ' + process.env.NAME + ', ' + (process.env.VITEST ?? 'no vitest');
    console.log(greeting);
    process.on('SIGTERM', () => process.exit(3));
    setTimeout(() => console.error('later'), 50);
    setInterval(() => undefined, 1000);`);
  const app = await spawnApp({ app: entry, environment: { NAME: 'miller' } });
  expect(await app.waitForLine(/later/)).toBe('later');
  expect(await app.waitForLine(/^hello/)).toBe('hello miller, no vitest');
  expect(app.logs()).toEqual(['hello miller, no vitest', 'later']);
  expect(await app.kill()).toEqual({ code: 3, signal: null });
  await app.stop();
});

test('waiting for a line fails with the log when the process ends first, and after its time', async () => {
  const ending = await spawnApp({
    app: await writeEntry(`console.log('bad configuration')`),
    environment: {},
  });
  await expect(ending.waitForLine(/listening/)).rejects.toThrow(/ended \(0\)[^]*bad configuration/);

  const silent = await spawnApp({
    app: await writeEntry(`setInterval(() => undefined, 1000)`),
    environment: {},
  });
  await expect(silent.waitForLine(/listening/, 50)).rejects.toThrow('waited 50 ms');
  await silent.kill('SIGKILL');
});

test('stopping a process that does not react to SIGTERM kills it and fails', async () => {
  const stubborn = await spawnApp({
    app: await writeEntry(
      `process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1000); console.log('up')`,
    ),
    environment: {},
  });
  await stubborn.waitForLine(/up/);
  await expect(stubborn.stop(100)).rejects.toThrow(/did not end/);
  expect((await stubborn.exited).signal).toBe('SIGKILL');
});

test('an app that does not exist is named', async () => {
  await expect(spawnApp({ app: 'miller', environment: {} })).rejects.toThrow('there is no app miller');
});
