import type { Stoppable } from './stop-in-order.ts';
import type { StopReport } from './supervise-process.ts';

/** How many worker processes there may be. */
export interface WorkerRange {
  least: number;
  most: number;
}

/** A worker that can be taken away again. */
interface Removable {
  readonly name: string;
  stop(graceMs: number): Promise<StopReport>;
}

/** Keeps as many workers as are wanted, within a range. */
export interface WorkerScaler<Worker extends Removable> extends Stoppable {
  /** Those that run now, besides the ones that are always there. */
  readonly workers: readonly Worker[];
  start(): void;
  /** Takes no more up or down, and ends those that it started. */
  stop(): Promise<StopReport[]>;
}

const EVERY_MS = 1_000;
const DOWN_AFTER_MS = 10_000;

/**
 * Takes workers up as soon as more are wanted and down when fewer have been wanted for ten seconds: a start costs a second
 * or two, and a backlog that comes and goes should not make it be paid again and again. Workers that are taken down end what
 * they have (SIGTERM) while others go on. While nobody can tell how many are wanted, nothing changes.
 */
export function createWorkerScaler<Worker extends Removable>(options: {
  range: WorkerRange;
  /** Worker processes that there should be; null when that is not known. */
  readWanted: () => Promise<number | null>;
  /** Starts the n-th worker and resolves when it works; null when it could not be started, or is not needed any more. */
  startWorker: (number: number, stopping: AbortSignal) => Promise<Worker | null>;
  stopGraceMs: number;
  notice: (line: string) => void;
  everyMs?: number;
  downAfterMs?: number;
  now?: () => number;
}): WorkerScaler<Worker> {
  const { range, notice, stopGraceMs } = options;
  const { everyMs = EVERY_MS, downAfterMs = DOWN_AFTER_MS, now = () => performance.now() } = options;
  const running = new Map<number, Worker>();
  const leaving = new Map<number, Promise<StopReport>>();
  const reports: StopReport[] = [];
  let readings: { wanted: number; at: number }[] = [];
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> = Promise.resolve();
  const stopping = new AbortController();
  const isStopped = (): boolean => stopping.signal.aborted;

  const look = async (): Promise<void> => {
    const wanted = await options.readWanted().catch(() => null);
    if (wanted !== null && !isStopped()) await follow(Math.min(Math.max(wanted, range.least), range.most));
    if (!isStopped()) timer = setTimeout(begin, everyMs);
  };
  const begin = (): void => {
    underWay = look();
  };

  const follow = async (wanted: number): Promise<void> => {
    const at = now();
    const enough = readings.findLastIndex((reading) => reading.at <= at - downAfterMs);
    readings = [...readings.slice(Math.max(0, enough)), { wanted, at }];
    const count = range.least + running.size;
    if (wanted > count) {
      notice(`${wanted} workers are wanted, there are ${count}: starting ${wanted - count}`);
      await Promise.all(freeNumbers(wanted - count).map(startOne));
      return;
    }
    const kept = Math.max(...readings.map((reading) => reading.wanted));
    if (enough < 0 || kept >= count) return;
    notice(`${kept} workers have been enough for ${downAfterMs / 1_000} s, there are ${count}`);
    const last = [...running.keys()].sort((a, b) => b - a).slice(0, count - kept);
    for (const number of last) stopOne(number);
  };

  const freeNumbers = (count: number): number[] => {
    const numbers: number[] = [];
    for (let number = range.least + 1; numbers.length < count; number += 1) {
      if (!running.has(number) && !leaving.has(number)) numbers.push(number);
    }
    return numbers;
  };
  const startOne = async (number: number): Promise<void> => {
    const worker = await options.startWorker(number, stopping.signal);
    if (worker) running.set(number, worker);
  };
  const stopOne = (number: number): void => {
    const worker = running.get(number);
    if (!worker) return;
    running.delete(number);
    const ended = worker.stop(stopGraceMs).then((report) => {
      leaving.delete(number);
      reports.push(report);
      return report;
    });
    leaving.set(number, ended);
  };

  return {
    together: 'apps',
    get workers() {
      return [...running.values()];
    },
    start: begin,
    async stop() {
      stopping.abort();
      if (timer) clearTimeout(timer);
      for (const number of [...running.keys()]) stopOne(number);
      await underWay;
      // One may have been under way when the stop came.
      for (const number of [...running.keys()]) stopOne(number);
      await Promise.all(leaving.values());
      return reports;
    },
  };
}
