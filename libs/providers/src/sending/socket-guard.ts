import Bottleneck from 'bottleneck';

/** Beyond the call's own timeout, so that the guard only speaks when that failed. */
const EXPIRATION_GRACE_MS = 30_000;

/** Thrown by {@link SocketGuard.run} when the caller gave up before a slot was free. */
export class AbortedInQueue extends Error {}

/**
 * Caps how many requests one provider client has open in this process: Node's fetch opens one socket per concurrent
 * request and knows no limit. The fleet's limits are the capacity book's business, not this guard's.
 */
export class SocketGuard {
  readonly #limiter: Bottleneck;

  constructor(maxConcurrent: number) {
    this.#limiter = new Bottleneck({ maxConcurrent });
  }

  /**
   * Runs the work when a slot is free. Aborting while queued rejects at once with {@link AbortedInQueue}; the entry that
   * stays in the queue ends without work when its turn comes, so it takes no slot. Work that outlives its timeout by far
   * loses its slot (`expiration`) and rejects.
   */
  async run<Result>(timeoutMs: number, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (signal.aborted) throw new AbortedInQueue();
    let isStarted = false;
    const queued = this.#limiter.schedule({ expiration: timeoutMs + EXPIRATION_GRACE_MS }, async () => {
      if (signal.aborted) throw new AbortedInQueue();
      isStarted = true;
      return work();
    });
    let onAbort: (() => void) | undefined;
    const abortedInQueue = new Promise<never>((_resolve, reject) => {
      onAbort = () => {
        if (!isStarted) reject(new AbortedInQueue());
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([queued, abortedInQueue]);
    } finally {
      if (onAbort) signal.removeEventListener('abort', onAbort);
    }
  }
}
