import type { JobEventType } from '@millrace/contracts';
import type { LiveWatcher } from '@millrace/transport';

/** One who waits for a job to end. */
export interface Waiter extends LiveWatcher {
  /** When it last looked into the ledger (monotonic ms). */
  lookedAt: number;
  /** Makes it look now. */
  wake(): void;
  /** Resolves at once if there was a reason to look since the last call. */
  woken(): Promise<'news' | 'timeout'>;
  dispose(): void;
}

/** Wakes on an event of which `isNews` says so, on a gap of the connection, on the timeout and on the signal. */
export function createWaiter(
  timeoutMs: number,
  signal: AbortSignal,
  isNews: (type: JobEventType) => boolean,
): Waiter {
  let hasNews = false;
  let isLate = false;
  let resume: (() => void) | null = null;

  const wake = (): void => {
    hasNews = true;
    resume?.();
  };
  const timer = setTimeout(() => {
    isLate = true;
    resume?.();
  }, timeoutMs);
  signal.addEventListener('abort', wake);

  return {
    lookedAt: performance.now(),
    wake,
    onMessage(message) {
      if (message.kind === 'event' && isNews(message.event.type)) wake();
    },
    onGap: wake,
    async woken() {
      if (!hasNews && !isLate && !signal.aborted) await new Promise<void>((resolve) => (resume = resolve));
      resume = null;
      hasNews = false;
      return isLate ? 'timeout' : 'news';
    },
    dispose() {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
    },
  };
}
