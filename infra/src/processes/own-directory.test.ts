import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DirectoryInUseError, ownDirectory } from './own-directory.ts';
import { identifyProcess } from './process-identity.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-own-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('a directory has one owner at a time', async () => {
  const ownership = ownDirectory(directory, 'a test');
  expect(() => ownDirectory(directory, 'another test')).toThrow(DirectoryInUseError);
  ownership.release();
  ownDirectory(directory, 'another test').release();
  expect(await readdir(directory)).toEqual([]);
});

test('what a dead owner left is taken over, also when its process id was given to another process', async () => {
  const reused = { pid: process.pid, startedAt: 'long ago' };
  const gone = { pid: 2 ** 22 + 1, startedAt: '1' };
  for (const owner of [reused, gone, 'half a fi']) {
    await writeFile(join(directory, 'owner.json'), JSON.stringify(owner));
    ownDirectory(directory, 'a test').release();
  }
});

test('a late release does not take the directory from its next owner', async () => {
  const ownership = ownDirectory(directory, 'a test');
  const init = identifyProcess(1)!;
  await writeFile(join(directory, 'owner.json'), JSON.stringify(init));
  ownership.release();
  expect(() => ownDirectory(directory, 'a test')).toThrow(/process 1 runs/);
});
