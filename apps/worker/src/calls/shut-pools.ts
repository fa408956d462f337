/** Knows which pools this process can send nothing to because all the targets that it meets there are closed. */
export interface ShutPools {
  /** The target of a step was closed. `waits`: it was put off, because nothing else can take it. */
  noteClosed(pool: string, waits: boolean): void;
  /** A call of the pool may leave, and is no probe: one of its targets works. */
  noteOpen(pool: string): void;
}

/** A pool may have targets that work beside one that does not: only where nothing left for so long does it pause. */
const SILENT_MS = 5_000;
const LEAST_IN_A_ROW = 8;
/** Short against the time after which a breaker lets a probe go, which comes out of the queue like any other call. */
const PAUSE_MS = 2_000;

/**
 * Lets a pool rest for the whole fleet while its targets are closed: a long backlog would be claimed and put off again step by
 * step. Steps that can go elsewhere end the row: they must not wait for their turn to leave.
 */
export function createShutPools(options: {
  pausePool: (pool: string, forMs: number) => void;
  /** On the monotonic clock, in ms. */
  now: () => number;
}): ShutPools {
  const rows = new Map<string, { count: number; since: number }>();
  return {
    noteClosed(pool, waits) {
      if (!waits) {
        rows.delete(pool);
        return;
      }
      const row = rows.get(pool) ?? { count: 0, since: options.now() };
      rows.set(pool, row);
      row.count += 1;
      if (row.count >= LEAST_IN_A_ROW && options.now() - row.since >= SILENT_MS) {
        options.pausePool(pool, PAUSE_MS);
      }
    },
    noteOpen(pool) {
      rows.delete(pool);
    },
  };
}
