import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';

const output = JSON.stringify(new URL('gathered-output.ts', import.meta.url).href);

/** A process that logs; nothing reads its output until somebody does. */
function run(program: string) {
  const source = `const { createGatheredOutput } = await import(${output}); const log = createGatheredOutput(1); ${program}`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

test.each([
  ['exits', 'process.exit(3)', 3],
  ['ends by an error that nobody caught', `throw new Error('x')`, 1],
  ['has nothing more to do', '', 0],
])('no line is lost when the process %s', async (_title, ending, code) => {
  const child = run(`for (let n = 0; n < 20000; n += 1) log.write('line ' + n + '\\n'); ${ending}`);
  const exited = once(child, 'exit');
  const lines = (await text(child.stdout)).trimEnd().split('\n');
  expect(lines).toEqual(Array.from({ length: 20_000 }, (_, number) => `line ${number}`));
  expect(await exited).toEqual([code, null]);
});

test('a single line arrives while the process goes on', async () => {
  const child = run(`log.write('hello\\n'); setInterval(() => {}, 1000);`);
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  expect(String(chunk)).toBe('hello\n');
  child.kill('SIGKILL');
  await once(child, 'exit');
});

test('a process whose reader has gone goes on, and ends when it is told to', async () => {
  const child = run(`log.write('hello\\n'); setInterval(() => log.write('x'.repeat(100000)), 1);
    process.on('SIGTERM', () => process.exit(5));`);
  await once(child.stdout, 'data');
  child.stdout.destroy();
  await pause(200);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([5, null]);
});
