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
  drain(limits: { patienceMs: number; graceMs: number }): Promise<StopReport>;
  stop(graceMs: number): Promise<StopReport>;
}

/** Keeps as many workers as are wanted, within a range. */
export interface WorkerScaler<Worker extends Removable> extends Stoppable {
  /** Those that run now, besides the ones that are always there. */
  readonly workers: readonly Worker[];
  /** Those that were taken down, or are being stopped, and have not ended yet. */
  readonly leaving: readonly Worker[];
  start(): void;
  /** Takes no more up or down, and ends those that it started. */
  stop(): Promise<StopReport[]>;
}

const EVERY_MS = 1_000;
const UP_AFTER_MS = 2_000;
const DOWN_AFTER_MS = 10_000;

/**
 * Takes workers up when more have been wanted for two seconds (a single reading may be chance) and down when fewer have been
 * wanted for ten: a start costs a second or two, and a backlog that comes and goes should not make it be paid again and again.
 * Workers that are taken down drain: they end what they have, however long a call may take, while others go on. They do not
 * count any more; if more are wanted meanwhile, others are started. While nobody can tell how many are wanted, nothing changes.
 */
export function createWorkerScaler<Worker extends Removable>(options: {
  range: WorkerRange;
  /** Worker processes that there should be; null when that is not known. */
  readWanted: () => Promise<number | null>;
  /** Starts the n-th worker and resolves when it works; null when it could not be started, or is not needed any more. */
  startWorker: (number: number, stopping: AbortSignal) => Promise<Worker | null>;
  /** How long a worker that is taken down may go on with its calls before it is stopped. */
  drainMs: number;
  stopGraceMs: number;
  notice: (line: string) => void;
  everyMs?: number;
  upAfterMs?: number;
  downAfterMs?: number;
  now?: () => number;
}): WorkerScaler<Worker> {
  const { range, notice, drainMs, stopGraceMs } = options;
  const { everyMs = EVERY_MS, upAfterMs = UP_AFTER_MS, downAfterMs = DOWN_AFTER_MS } = options;
  const now = options.now ?? (() => performance.now());
  const running = new Map<number, Worker>();
  const leaving = new Map<number, { worker: Worker; ended: Promise<void> }>();
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

  /** What was wanted during the last so many milliseconds; empty when it was not watched for that long. */
  const wantedFor = (ms: number, at: number): number[] => {
    const from = readings.findLastIndex((reading) => reading.at <= at - ms);
    return from < 0 ? [] : readings.slice(from).map((reading) => reading.wanted);
  };
  const follow = async (wanted: number): Promise<void> => {
    const at = now();
    const old = readings.findLastIndex((reading) => reading.at <= at - downAfterMs);
    readings = [...readings.slice(Math.max(0, old)), { wanted, at }];
    const count = range.least + running.size;
    // Of nothing: Infinity and -Infinity.
    const lasting = Math.min(...wantedFor(upAfterMs, at));
    if (lasting > count && lasting !== Infinity) {
      notice(`${lasting} workers are wanted, there are ${count}: starting ${lasting - count}`);
      await Promise.all(freeNumbers(lasting - count).map(startOne));
      return;
    }
    const kept = Math.max(...wantedFor(downAfterMs, at));
    if (kept >= count || kept === -Infinity) return;
    notice(`${kept} workers have been enough for ${downAfterMs / 1_000} s, there are ${count}`);
    const last = [...running.keys()].sort((a, b) => b - a).slice(0, count - kept);
    for (const number of last) {
      letGo(number, (worker) => worker.drain({ patienceMs: drainMs, graceMs: stopGraceMs }));
    }
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
  const letGo = (number: number, end: (worker: Worker) => Promise<StopReport>): void => {
    const worker = running.get(number);
    if (!worker) return;
    running.delete(number);
    const ended = end(worker).then((report) => {
      leaving.delete(number);
      reports.push(report);
    });
    leaving.set(number, { worker, ended });
  };
  const stopAll = (): void => {
    for (const number of [...running.keys()]) letGo(number, (worker) => worker.stop(stopGraceMs));
  };

  return {
    together: 'apps',
    get workers() {
      return [...running.values()];
    },
    get leaving() {
      return [...leaving.values()].map(({ worker }) => worker);
    },
    start: begin,
    async stop() {
      stopping.abort();
      if (timer) clearTimeout(timer);
      // Those that drain, too, have no longer than the others now.
      for (const { worker } of leaving.values()) void worker.stop(stopGraceMs);
      stopAll();
      await underWay;
      // One may have been under way when the stop came.
      stopAll();
      await Promise.all([...leaving.values()].map(({ ended }) => ended));
      return reports;
    },
  };
}
