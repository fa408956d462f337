import { setTimeout as delay } from 'node:timers/promises';
import { readLines } from '../processes/read-lines.ts';
import { spawnGuarded, type GuardedProcess, type ProcessExit } from '../processes/spawn-guarded.ts';

/**
 * A process that is started again whenever it ends without having been asked to.
 *
 * States: starting → running → (ended → starting)* → (draining →)? stopping → stopped. Only `drain` leads to draining, and only
 * `stop` or the end of its patience to stopping. One that drains and ends by itself is stopped.
 */
export interface SupervisedProcess {
  readonly name: string;
  /** Null between a death and the next start, and after the stop. */
  readonly pid: number | null;
  /** How often it was started again. */
  readonly restarts: number;
  /** Sends a signal to the process that runs now; false if none does. */
  signal(signal: NodeJS.Signals): boolean;
  /**
   * Lets it end what it has, take no more, and end (SIGUSR2); after `patienceMs` it is stopped. Resolves when it has ended, also by
   * a `stop` that came meanwhile.
   */
  drain(limits: { patienceMs: number; graceMs: number }): Promise<StopReport>;
  /** Ends it for good: SIGTERM, then SIGKILL after `graceMs`. May be called twice. */
  stop(graceMs: number): Promise<StopReport>;
}

/** `killed`: it did not end within the grace. */
export interface StopReport {
  name: string;
  killed: boolean;
}

/** What to run, and whom to tell. */
interface Supervision {
  name: string;
  /** The TypeScript file that Node runs. */
  entry: string;
  workingDirectory: string;
  /** Asked at every start: a port that was found at the first start is kept at the next. */
  environment: () => NodeJS.ProcessEnv;
  onLine: (line: string) => void;
  /** Something an operator must see: a death, a new start. */
  onNotice: (notice: string) => void;
  /**
   * Before `markReady` was called the process died for the third time, or said by its exit code that its settings are
   * wrong; it is not started again.
   */
  onGiveUp: (error: Error) => void;
  /** A process that ran for this long is healthy: its next death counts as the first. 30,000 by default. */
  healthyAfterMs?: number;
}

const firstDelayMs = 250;
const longestDelayMs = 10_000;
const defaultHealthyAfterMs = 30_000;
const deathsBeforeReady = 3;
/** EX_CONFIG of sysexits(3): starting again will not help. */
const badConfigurationCode = 78;
const orphanGraceMs = 10_000;

/** Starts a process and keeps it running. `markReady` says that the start has worked once. */
export async function superviseProcess(
  supervision: Supervision,
): Promise<SupervisedProcess & { markReady: () => void }> {
  const { name, healthyAfterMs = defaultHealthyAfterMs } = supervision;
  const stopAsked = new AbortController();
  let current: GuardedProcess | null = null;
  let restarts = 0;
  let isReady = false;
  let lastLines: string[] = [];

  const startOnce = async (): Promise<GuardedProcess> => {
    lastLines = [];
    const child = await spawnGuarded({
      command: process.execPath,
      arguments: [supervision.entry],
      environment: supervision.environment(),
      workingDirectory: supervision.workingDirectory,
      orphanSignal: 'TERM',
      orphanGraceMs,
    });
    const take = (line: string): void => {
      lastLines = [...lastLines.slice(-14), line];
      supervision.onLine(line);
    };
    readLines(child.stdout, take);
    readLines(child.stderr, take);
    return child;
  };

  const startAgain = async (deaths: number): Promise<GuardedProcess | null> => {
    for (let failures = deaths; ; failures += 1) {
      const delayMs = Math.min(firstDelayMs * 2 ** (failures - 1), longestDelayMs);
      supervision.onNotice(`starting ${name} again in ${delayMs} ms`);
      await delay(delayMs, undefined, { signal: stopAsked.signal }).catch(() => undefined);
      if (stopAsked.signal.aborted) return null;
      try {
        return await startOnce();
      } catch (error) {
        supervision.onNotice(`${name} could not be started: ${String(error)}`);
      }
    }
  };

  const keepRunning = async (first: GuardedProcess): Promise<void> => {
    let deaths = 0;
    let child = first;
    for (;;) {
      const startedAt = performance.now();
      const exit = await child.exited;
      current = null;
      if (stopAsked.signal.aborted) return;

      deaths = performance.now() - startedAt >= healthyAfterMs ? 1 : deaths + 1;
      const ending = `${name} (process ${child.pid}) ended unexpectedly: ${describeExit(exit)}`;
      const isHopeless = exit.code === badConfigurationCode || deaths >= deathsBeforeReady;
      if (!isReady && isHopeless) {
        supervision.onGiveUp(new Error(`${ending}\n${lastLines.join('\n')}`));
        return;
      }
      supervision.onNotice(ending);
      const next = await startAgain(deaths);
      if (next === null) return;
      child = next;
      current = child;
      restarts += 1;
      supervision.onNotice(`${name} runs again as process ${child.pid}`);
      // `stop` may have come while the process was being started.
      if (stopAsked.signal.aborted) child.signal('SIGTERM');
    }
  };

  const firstChild = await startOnce();
  current = firstChild;
  const ended = keepRunning(firstChild);

  let stopping: Promise<StopReport> | undefined;
  const stop = async (graceMs: number): Promise<StopReport> => {
    stopAsked.abort();
    current?.signal('SIGTERM');
    let killed = false;
    const timer = setTimeout(() => {
      killed = true;
      current?.signal('SIGKILL');
    }, graceMs);
    await ended;
    clearTimeout(timer);
    return { name, killed };
  };
  const stopOnce = (graceMs: number): Promise<StopReport> => (stopping ??= stop(graceMs));
  const drain: SupervisedProcess['drain'] = async ({ patienceMs, graceMs }) => {
    if (stopping) return stopping;
    stopAsked.abort();
    current?.signal('SIGUSR2');
    const timer = setTimeout(() => void stopOnce(graceMs), patienceMs);
    await ended;
    clearTimeout(timer);
    return stopping ?? { name, killed: false };
  };

  return {
    name,
    get pid() {
      return current?.pid ?? null;
    },
    get restarts() {
      return restarts;
    },
    markReady: () => {
      isReady = true;
    },
    signal: (signal) => current?.signal(signal) ?? false,
    drain,
    stop: stopOnce,
  };
}

function describeExit({ code, signal }: ProcessExit): string {
  return signal === null ? `exit code ${code}` : signal;
}
