import { waitFor } from '@millrace/test-support';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createWorkerScaler } from './scale-workers.ts';
import type { WorkerScaler } from './scale-workers.ts';

type Report = { name: string; killed: boolean };
/** It drains until the test lets it end; it stops at once. */
interface Worker {
  name: string;
  drain: (patience: { patienceMs: number; graceMs: number }) => Promise<Report>;
  stop: (graceMs: number) => Promise<Report>;
}

/** Workers that only have a name; a clock that the test moves. */
interface Bench {
  wanted: number | null;
  clockMs: number;
  looks: number;
  log: string[];
  /** Whether those that drain have something to do. */
  busy: boolean;
  scaler: WorkerScaler<Worker>;
}
let bench: Bench;

beforeEach(() => {
  bench = { wanted: 1, clockMs: 0, looks: 0, log: [], busy: false } as unknown as Bench;
  bench.scaler = createWorkerScaler({
    range: { least: 1, most: 4 },
    readWanted: async () => {
      bench.looks += 1;
      return bench.wanted;
    },
    startWorker: async (number, stopping) => {
      const name = `worker-${number}`;
      if (stopping.aborted) return null;
      bench.log.push(`+${name}`);
      const ended = Promise.withResolvers<Report>();
      return {
        name,
        drain: ({ patienceMs, graceMs }) => {
          bench.log.push(`-${name} within ${patienceMs} and ${graceMs}`);
          if (!bench.busy) ended.resolve({ name, killed: false });
          return ended.promise;
        },
        stop: (graceMs) => {
          bench.log.push(`!${name} within ${graceMs}`);
          ended.resolve({ name, killed: false });
          return ended.promise;
        },
      };
    },
    drainMs: 600_000,
    stopGraceMs: 1_000,
    notice: () => undefined,
    everyMs: 1,
    upAfterMs: 0,
    downAfterMs: 10_000,
    now: () => bench.clockMs,
  });
  bench.scaler.start();
});
afterEach(() => bench.scaler.stop());

const names = (): string[] => bench.scaler.workers.map(({ name }) => name);
/** Lets the scaler look at least twice at what is wanted now. */
async function look(wanted: number | null): Promise<void> {
  bench.wanted = wanted;
  const until = bench.looks + 3;
  await waitFor(() => bench.looks >= until, { intervalMs: 1, what: 'the scaler to look' });
}

test('workers come at once, as many as are wanted, and never more than there may be', async () => {
  await look(3);
  expect(names()).toEqual(['worker-2', 'worker-3']);
  await look(50);
  expect(names()).toEqual(['worker-2', 'worker-3', 'worker-4']);
});

test('they go when fewer have been wanted for ten seconds, the last ones first, and the least stay', async () => {
  await look(4);
  bench.clockMs = 5_000;
  await look(2);
  bench.clockMs = 14_000;
  await look(2);
  expect(names()).toHaveLength(3);
  bench.clockMs = 15_001;
  await look(2);
  expect(names()).toEqual(['worker-2']);
  expect(bench.log.slice(-2).sort()).toEqual([
    '-worker-3 within 600000 and 1000',
    '-worker-4 within 600000 and 1000',
  ]);
  bench.clockMs = 40_000;
  await look(0);
  bench.clockMs = 60_000;
  await look(0);
  expect(names()).toEqual([]);
});

test('a need that comes back within ten seconds keeps them', async () => {
  await look(3);
  for (let second = 1; second <= 40; second += 1) {
    bench.clockMs = second * 1_000;
    await look(second % 9 === 0 ? 3 : 1);
  }
  expect(names()).toHaveLength(2);
  expect(bench.log).toEqual(['+worker-2', '+worker-3']);
});

test('a need of a moment starts nothing', async () => {
  const started: number[] = [];
  const moves: { wanted: number; at: number }[] = [
    { wanted: 1, at: 0 },
    { wanted: 4, at: 1_000 },
    { wanted: 1, at: 2_000 },
    { wanted: 4, at: 3_000 },
    { wanted: 3, at: 4_000 },
    { wanted: 4, at: 5_000 },
  ];
  let at = 0;
  const scaler = createWorkerScaler({
    range: { least: 1, most: 4 },
    readWanted: async () => {
      const move = moves.shift();
      at = move?.at ?? at;
      return move?.wanted ?? null;
    },
    startWorker: async (number) => {
      started.push(at, number);
      const end = async () => ({ name: '', killed: false });
      return { name: `worker-${number}`, drain: end, stop: end };
    },
    drainMs: 0,
    stopGraceMs: 0,
    notice: () => undefined,
    everyMs: 1,
    now: () => at,
  });
  scaler.start();
  await waitFor(() => moves.length === 0 && scaler.workers.length === 2, {
    what: 'the last two seconds to count',
  });
  expect(started).toEqual([5_000, 2, 5_000, 3]);
  await scaler.stop();
});

/** Takes three workers up and tells two of them to go, which still have calls. */
async function drainTwo(): Promise<void> {
  bench.busy = true;
  await look(3);
  bench.clockMs = 5_000;
  await look(1);
  bench.clockMs = 15_001;
  await look(1);
  expect(bench.scaler.leaving.map(({ name }) => name)).toEqual(['worker-3', 'worker-2']);
  expect(names()).toEqual([]);
}

test('a need that comes back while workers drain starts others, under names that nobody has', async () => {
  await drainTwo();
  await look(3);
  expect(names()).toEqual(['worker-4', 'worker-5']);
  expect(bench.scaler.leaving).toHaveLength(2);
  // When they have ended, their numbers are free again.
  for (const worker of bench.scaler.leaving) await worker.stop(0);
  await look(4);
  expect(names()).toEqual(['worker-4', 'worker-5', 'worker-2']);
});

test('stopping gives those that drain the grace of all others', async () => {
  await drainTwo();
  const reports = await bench.scaler.stop();
  expect(bench.log.slice(-2).sort()).toEqual(['!worker-2 within 1000', '!worker-3 within 1000']);
  expect(reports.map(({ name }) => name).sort()).toEqual(['worker-2', 'worker-3']);
  expect(bench.scaler.leaving).toEqual([]);
});

test('nothing changes while nobody can tell what is wanted', async () => {
  await look(3);
  bench.clockMs = 100_000;
  await look(null);
  expect(names()).toHaveLength(2);
});

test('stopping ends those that it started and starts no more', async () => {
  await look(3);
  const reports = await bench.scaler.stop();
  expect(reports.map(({ name }) => name).sort()).toEqual(['worker-2', 'worker-3']);
  expect(bench.log.slice(-2).sort()).toEqual(['!worker-2 within 1000', '!worker-3 within 1000']);
  expect(names()).toEqual([]);
  const { length } = bench.log;
  bench.wanted = 4;
  expect(bench.log).toHaveLength(length);
});
