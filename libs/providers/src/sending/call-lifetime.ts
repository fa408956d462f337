/** Node's timers count milliseconds in 31 bits and fire at once above that. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How long a vendor may keep the connection open after it said everything. */
const DRAIN_MS = 250;

/** Why a call was ended from this side. */
export type CallEnd = 'caller' | 'total_timeout' | 'idle_timeout';

/**
 * The clock of one call: one abort signal for the caller's abort, the total time and the silence between bytes.
 *
 * States: running → ended(why) by the first of the three, or → over by {@link finish}. Silence counts only from the first
 * byte on, because vendors queue a request for minutes before they answer (flex, a busy vLLM).
 */
export class CallLifetime {
  readonly controller = new AbortController();
  #endedBy: CallEnd | null = null;
  #lastByteAt: number | null = null;
  #idleMs: number;
  #idleTimer: NodeJS.Timeout | undefined;
  readonly #totalTimer: NodeJS.Timeout;
  readonly #caller: AbortSignal;
  readonly #onCallerAbort = () => this.#end('caller');

  constructor(caller: AbortSignal, timeoutMs: number, idleMs: number) {
    this.#caller = caller;
    this.#idleMs = idleMs;
    this.#totalTimer = setTimeout(() => this.#end('total_timeout'), Math.min(timeoutMs, LONGEST_TIMER_MS));
    caller.addEventListener('abort', this.#onCallerAbort, { once: true });
    if (caller.aborted) this.#end('caller');
  }

  get endedBy(): CallEnd | null {
    return this.#endedBy;
  }

  /** Bytes arrived. Cheap: the timer is not moved, it looks at the time when it fires. */
  touch(): void {
    const isFirst = this.#lastByteAt === null;
    this.#lastByteAt = performance.now();
    if (isFirst) this.#watchSilence(this.#idleMs);
  }

  /** The answer is complete; what follows is only the end of the connection. */
  drain(): void {
    this.#idleMs = Math.min(this.#idleMs, DRAIN_MS);
    clearTimeout(this.#idleTimer);
    this.#watchSilence(this.#idleMs);
  }

  /** Releases the timers and the caller's signal. May be called twice. */
  finish(): void {
    clearTimeout(this.#totalTimer);
    clearTimeout(this.#idleTimer);
    this.#caller.removeEventListener('abort', this.#onCallerAbort);
  }

  #watchSilence(delayMs: number): void {
    this.#idleTimer = setTimeout(
      () => {
        const silentMs = performance.now() - (this.#lastByteAt ?? 0);
        if (silentMs >= this.#idleMs) this.#end('idle_timeout');
        else this.#watchSilence(this.#idleMs - silentMs);
      },
      Math.min(Math.ceil(delayMs), LONGEST_TIMER_MS),
    );
  }

  #end(by: CallEnd): void {
    if (this.#endedBy !== null) return;
    this.#endedBy = by;
    this.finish();
    this.controller.abort();
  }
}
