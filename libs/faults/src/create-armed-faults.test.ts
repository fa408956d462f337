import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createArmedFaults } from './create-armed-faults.ts';
import type { FaultOrders } from './create-armed-faults.ts';
import { crashPoint, hasDefect } from './inert.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-faults-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function order(orders: Partial<FaultOrders>): void {
  writeFileSync(join(directory, 'next'), JSON.stringify({ crash: null, defects: [], ...orders }));
  renameSync(join(directory, 'next'), join(directory, 'orders.json'));
}

it('kills at the ordered passing of the ordered point, and has written down so before', () => {
  const landedFile = join(directory, 'landed.jsonl');
  const kill = vi.fn(() => expect(readFileSync(landedFile, 'utf8')).toContain('"order-1"'));
  const faults = createArmedFaults(directory, kill);
  faults.crashPoint('call.after-sent', 'job_1');
  order({ crash: { id: 'order-1', point: 'call.after-sent', passing: 2, about: 'job_1' } });
  faults.crashPoint('call.after-claim', 'job_1');
  faults.crashPoint('call.after-sent', 'job_2');
  faults.crashPoint('call.after-sent', 'job_1');
  expect(kill).not.toHaveBeenCalled();
  faults.crashPoint('call.after-sent', 'job_1');
  expect(kill).toHaveBeenCalledTimes(1);
  expect(JSON.parse(readFileSync(landedFile, 'utf8'))).toMatchObject({
    id: 'order-1',
    point: 'call.after-sent',
    pid: process.pid,
    about: ['job_1'],
  });
});

it('knows a job by the idempotency key under which another process let it pass', () => {
  const kill = vi.fn();
  order({ crash: { id: 'order-2', point: 'call.after-claim', passing: 1, about: 'key-7' } });
  createArmedFaults(directory, kill).crashPoint('intake.before-commit', ['job_7', 'key-7']);
  const worker = createArmedFaults(directory, kill);
  worker.crashPoint('call.after-claim', 'job_8');
  expect(kill).not.toHaveBeenCalled();
  worker.crashPoint('call.after-claim', 'job_7');
  expect(kill).toHaveBeenCalledTimes(1);
});

it('stops the process instead where the order says so', () => {
  const kill = vi.fn();
  order({ crash: { id: 'order-4', point: 'p', passing: 1, about: null, signal: 'SIGSTOP' } });
  createArmedFaults(directory, kill).crashPoint('p');
  expect(kill).toHaveBeenCalledWith('SIGSTOP');
});

it('counts the passings of all processes together', () => {
  const kill = vi.fn();
  order({ crash: { id: 'order-3', point: 'p', passing: 3, about: null } });
  const processes = [createArmedFaults(directory, kill), createArmedFaults(directory, kill)] as const;
  processes[0].crashPoint('p');
  processes[1].crashPoint('p');
  expect(kill).not.toHaveBeenCalled();
  processes[0].crashPoint('p');
  processes[1].crashPoint('p');
  expect(kill).toHaveBeenCalledTimes(1);
});

it('counts anew for a new order, and follows orders and their withdrawal at once', () => {
  const kill = vi.fn();
  const faults = createArmedFaults(directory, kill);
  order({ crash: { id: 'a', point: 'p', passing: 2, about: null }, defects: ['skip-fence'] });
  faults.crashPoint('p');
  expect(faults.hasDefect('skip-fence')).toBe(true);
  order({ crash: { id: 'b', point: 'p', passing: 2, about: null } });
  faults.crashPoint('p');
  expect(kill).not.toHaveBeenCalled();
  expect(faults.hasDefect('skip-fence')).toBe(false);
  order({});
  faults.crashPoint('p');
  expect(kill).not.toHaveBeenCalled();
});

it('does nothing without a directory, and nothing at all outside of chaos runs', () => {
  order({ crash: { id: 'a', point: 'p', passing: 1, about: null }, defects: ['d'] });
  const kill = vi.fn();
  const idle = createArmedFaults(null, kill);
  idle.crashPoint('p');
  crashPoint('p');
  expect([kill.mock.calls.length, idle.hasDefect('d'), hasDefect('d')]).toEqual([0, false, false]);
});
