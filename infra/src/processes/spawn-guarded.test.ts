import { once } from 'node:events';
import { expect, test } from 'vitest';
import { withTimeout } from '@millrace/test-support';
import { spawnGuarded, type GuardedCommand } from './spawn-guarded.ts';

const spawnNode = (program: string, change: Partial<GuardedCommand> = {}) =>
  spawnGuarded({
    command: process.execPath,
    arguments: ['-e', program],
    environment: {},
    orphanSignal: 'TERM',
    orphanGraceMs: 1_000,
    ...change,
  });

test('the id, the output, and the exit code are those of the command itself', async () => {
  const child = await spawnNode('console.log(process.pid); process.exitCode = 7');
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  expect(Number(output.toString())).toBe(child.pid);
  expect(await child.exited).toEqual({ code: 7, signal: null });
  expect(child.isRunning()).toBe(false);
  expect(child.signal('SIGTERM')).toBe(false);
});

test('arguments arrive as they are, spaces, quotes, and empty ones included', async () => {
  const child = await spawnNode('', {
    arguments: ['-p', 'JSON.stringify(process.argv.slice(1))', 'a b', '', `"'$HOME`],
  });
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  expect(JSON.parse(output.toString())).toEqual(['a b', '', `"'$HOME`]);
  await child.exited;
});

test('a process that ignores the signal to stop is killed after the grace', async () => {
  const child = await spawnNode(
    `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')`,
  );
  await once(child.stdout, 'data');
  const exit = await withTimeout(child.stop({ signal: 'SIGTERM', graceMs: 100 }), 5_000, 'the kill');
  expect(exit).toEqual({ code: null, signal: 'SIGKILL' });
  expect(await child.stop({ signal: 'SIGTERM', graceMs: 100 })).toEqual(exit);
});

test('a command that does not exist ends with the code of the shell for it', async () => {
  const child = await spawnNode('', { command: '/nonexistent' });
  expect((await child.exited).code).toBe(127);
});
