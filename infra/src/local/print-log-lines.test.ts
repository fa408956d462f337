import { expect, test } from 'vitest';
import { printLogLine } from './print-log-lines.ts';

const at = new Date(2026, 10, 21, 9, 5, 7, 42);
const print = (source: string, line: string, format: 'pretty' | 'json' = 'pretty', colours = false): string =>
  printLogLine({ source, line }, { format, colours }, () => at);

const pinoLine = (fields: object): string =>
  JSON.stringify({ level: 30, time: at.getTime(), pid: 1, hostname: 'h', ...fields });

test('a pino line becomes name, time, message and short fields', () => {
  expect(
    print('worker-1', pinoLine({ msg: 'call', step: 'map[3]', tokens: { in: 1 }, note: 'two words' })),
  ).toBe('worker-1   09:05:07.042 call step=map[3] tokens={"in":1} note="two words"\n');
});

test('levels show from warn on, whether pino writes them as numbers or as names', () => {
  expect(print('api', pinoLine({ level: 40, msg: 'slow' }))).toBe('api        09:05:07.042 WARN slow\n');
  expect(print('api', pinoLine({ level: 'error', msg: 'bad' }))).toBe('api        09:05:07.042 ERROR bad\n');
});

test('an error’s stack stands on lines of its own, under the same name', () => {
  const line = pinoLine({ level: 50, msg: 'failed', err: { message: 'no', stack: 'Error: no\n    at x' } });
  expect(print('api', line)).toBe(
    'api        09:05:07.042 ERROR failed\napi          Error: no\napi              at x\n',
  );
});

test('text that is not JSON, or only begins like it, is shown as it is', () => {
  expect(print('api', 'Node.js v24')).toBe('api        Node.js v24\n');
  expect(print('api', '{ code: 1')).toBe('api        { code: 1\n');
});

test('escape sequences in a process’s output do not reach the terminal', () => {
  expect(print('api', '\u001b[2Jgone')).toBe('api        gone\n');
});

test('of PostgreSQL and Redis only warnings and errors are shown', () => {
  expect(print('postgres', 'LOG:  database system is ready')).toBe('');
  expect(print('postgres', 'ERROR:  deadlock detected')).toBe('postgres   WARN ERROR:  deadlock detected\n');
  expect(print('postgres', 'FATAL:  out of memory')).toContain('ERROR FATAL');
  expect(print('redis', '1:M 21 Nov 2026 09:05:07.042 * Ready to accept connections')).toBe('');
  expect(print('redis', '1:M 21 Nov 2026 09:05:07.042 # WARNING Memory overcommit must be enabled!')).toBe(
    '',
  );
  expect(print('redis', '1:M 21 Nov 2026 09:05:07.042 # Error writing to the AOF file')).toContain('WARN');
});

test('as json every line is an object: an app’s own unchanged, the rest wrapped', () => {
  const line = pinoLine({ msg: 'call' });
  expect(print('api', line, 'json')).toBe(`${line}\n`);
  expect(JSON.parse(print('postgres', 'FATAL:  no', 'json'))).toEqual({
    level: 50,
    time: at.getTime(),
    service: 'postgres',
    msg: 'FATAL:  no',
  });
  expect(JSON.parse(print('api', '{ code: 1', 'json'))).toMatchObject({ service: 'api', msg: '{ code: 1' });
});

test('colours are used only where they are wanted', () => {
  expect(print('worker-2', pinoLine({ msg: 'call' }), 'pretty', true)).toContain('\u001b[36mworker-2');
});
