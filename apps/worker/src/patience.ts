import { setTimeout as pause } from 'node:timers/promises';
import { LedgerUnavailable } from '@millrace/ledger';

const LONGEST_PAUSE_MS = 2_000;

/**
 * Makes work wait in its slot while the ledger is away. A worker that took one wake after the other only to drop it would
 * empty the queue during an outage, and the work would stand still after it. Ends with the error when the process stops.
 */
export function createPatience(options: {
  stopping: AbortSignal;
  onError: (error: unknown) => void;
}): <Result>(work: () => Promise<Result>) => Promise<Result> {
  return async (work) => {
    for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof LedgerUnavailable) || options.stopping.aborted) throw error;
        options.onError(error);
        await pause(delayMs, null, { signal: options.stopping }).catch(() => undefined);
      }
    }
  };
}
