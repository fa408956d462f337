import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor, withTimeout } from '@millrace/test-support';
import { superviseProcess, type SupervisedProcess } from './supervise-process.ts';

/** Drains until it is told to end its calls (SIGHUP), and stops at SIGTERM. */
const standIn = `
setInterval(() => undefined, 1_000);
process.on('SIGUSR2', () => console.log('draining'));
process.on('SIGHUP', () => process.exit(0));
process.on('SIGTERM', () => { console.log('stopping'); process.exit(0); });
console.log('up');`;

let directory: string;
let worker: SupervisedProcess;
let lines: string[];
let notices: string[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-supervised-'));
  await writeFile(join(directory, 'worker.ts'), standIn);
});
afterEach(() => worker.stop(0));
afterAll(() => rm(directory, { recursive: true, force: true }));

async function start(): Promise<void> {
  [lines, notices] = [[], []];
  worker = await superviseProcess({
    name: 'worker-2',
    entry: join(directory, 'worker.ts'),
    workingDirectory: directory,
    environment: () => ({ PATH: process.env.PATH }),
    onLine: (line) => lines.push(line),
    onNotice: (notice) => notices.push(notice),
    onGiveUp: (error) => notices.push(error.message),
  });
  await sees('up');
}
const sees = (line: string): Promise<true> =>
  waitFor(() => lines.includes(line), { timeoutMs: 15_000, what: `the process to say ${line}` });

const UNHURRIED_MS = 600_000;
const inTime = <Result>(ended: Promise<Result>): Promise<Result> => withTimeout(ended, 30_000, 'the end');

test('a process that drains ends by itself and is not started again', async () => {
  await start();
  const drained = worker.drain({ patienceMs: UNHURRIED_MS, graceMs: UNHURRIED_MS });
  await sees('draining');
  worker.signal('SIGHUP');
  expect(await inTime(drained)).toEqual({ name: 'worker-2', killed: false });
  expect(lines).toEqual(['up', 'draining']);
  expect(notices).toEqual([]);
  expect(worker.pid).toBeNull();
});

test('one that drains for longer than anything may take is stopped', async () => {
  await start();
  const drained = worker.drain({ patienceMs: 10, graceMs: UNHURRIED_MS });
  expect(await inTime(drained)).toEqual({ name: 'worker-2', killed: false });
  expect(lines.at(-1)).toBe('stopping');
});

test('a stop does not wait for the end of the drain', async () => {
  await start();
  const drained = worker.drain({ patienceMs: UNHURRIED_MS, graceMs: UNHURRIED_MS });
  await sees('draining');
  expect(await inTime(worker.stop(UNHURRIED_MS))).toEqual({ name: 'worker-2', killed: false });
  expect(await inTime(drained)).toEqual({ name: 'worker-2', killed: false });
  expect(lines).toEqual(['up', 'draining', 'stopping']);
});

test('a drain that was begun after the stop changes nothing of it', async () => {
  await start();
  const stopped = worker.stop(UNHURRIED_MS);
  await inTime(worker.drain({ patienceMs: UNHURRIED_MS, graceMs: UNHURRIED_MS }));
  expect(await stopped).toEqual({ name: 'worker-2', killed: false });
});
