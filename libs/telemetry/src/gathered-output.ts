import { writeSync } from 'node:fs';

/** What pino writes lines to. */
export interface GatheredOutput {
  write(line: string): void;
  /** Writes what is there now; pino calls it for a fatal line. */
  flushSync(): void;
}

const FULL_BYTES = 16_384;
const LATEST_MS = 50;
/** What a descriptor that takes no more (`O_NONBLOCK`) may make us keep; beyond that the oldest goes. A blocking one holds us up. */
const MOST_BYTES = 16 * 1024 * 1024;
/** How long the end of the process waits for such a descriptor. */
const LAST_WAIT_MS = 500;

/**
 * Writes log lines to a file descriptor, many at a time and 50 ms late at most: a system call for each would be a tenth of what
 * accepting a job costs. What is left is written when the process exits, also by `process.exit` and by an error that nobody caught;
 * only SIGKILL loses it. A reader that has gone is no reason to fail, or to stay (pino's own buffered stream never ends then).
 */
export function createGatheredOutput(descriptor: number): GatheredOutput {
  let pending: Buffer[] = [];
  let lines = '';
  let timer: NodeJS.Timeout | null = null;
  let isGone = false;

  const flush = (): boolean => {
    if (lines !== '') pending.push(Buffer.from(lines));
    lines = '';
    while (!isGone && pending[0]) {
      const [first] = pending;
      try {
        const written = writeSync(descriptor, first);
        if (written < first.length) pending[0] = first.subarray(written);
        else pending.shift();
      } catch (error) {
        if (isBusy(error)) return false;
        isGone = true;
      }
    }
    if (isGone) pending = [];
    return true;
  };
  const flushSoon = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      if (!flush()) flushSoon();
    }, LATEST_MS).unref();
  };
  const flushSync = (): void => {
    const deadlineAt = performance.now() + LAST_WAIT_MS;
    while (!flush() && performance.now() < deadlineAt) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  };
  process.once('exit', flushSync);

  return {
    write(line) {
      if (isGone) return;
      lines += line;
      if (lines.length >= FULL_BYTES && !flush()) pending = dropOldest(pending);
      if (lines !== '' || pending.length > 0) flushSoon();
    },
    flushSync,
  };
}

/** A pipe whose reader is slow says so instead of taking more. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EBUSY');
}

function dropOldest(pending: Buffer[]): Buffer[] {
  let size = pending.reduce((sum, each) => sum + each.length, 0);
  let kept = pending;
  while (size > MOST_BYTES && kept[0]) {
    size -= kept[0].length;
    kept = kept.slice(1);
  }
  return kept;
}
