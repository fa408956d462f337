/** A batch of either vendor, as the runner moves it. */
export interface RunningBatch {
  readonly id: string;
  readonly account: string;
  /** Moves it on to where it is by now on the movable clock. */
  advance(): Promise<void>;
  ended(): boolean;
  /** Lets go of the files it holds open; it will not be moved again. */
  release(): void;
  /** What `GET /_simulator/batches` tells of it. */
  describe(): object;
}

/** Moves batches on by a timer, when the clock was moved, and when somebody looks; each by one hand at a time. */
export interface BatchRunner {
  add(batch: RunningBatch): void;
  remove(id: string): void;
  /** Moves one batch on, but keeps a reader waiting no longer than a moment for it. */
  touch(id: string): Promise<void>;
  /** Resolves when all batches are where the clock is. */
  settle(): Promise<void>;
  describe(): readonly object[];
  stopped(): boolean;
  /** Resolves when nothing works on any batch. */
  stop(): Promise<void>;
}

const READER_WAITS_MS = 200;

export function createBatchRunner(tickMs: () => number): BatchRunner {
  const batches = new Map<string, RunningBatch>();
  const live = new Map<string, RunningBatch>();
  const turns = new Map<string, Promise<void>>();
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;

  /** A new turn begins when the one before it has ended, because the clock may have been moved in between. */
  async function advance(batch: RunningBatch): Promise<void> {
    const before = turns.get(batch.id) ?? Promise.resolve();
    const turn = before
      .catch(() => undefined)
      .then(async () => {
        if (!stopped && !batch.ended()) await batch.advance();
      });
    turns.set(batch.id, turn);
    try {
      await turn;
    } finally {
      if (turns.get(batch.id) === turn) turns.delete(batch.id);
      if (batch.ended()) live.delete(batch.id);
    }
  }
  function schedule(): void {
    if (timer !== null || stopped || live.size === 0) return;
    timer = setTimeout(() => {
      timer = null;
      for (const batch of live.values()) if (!turns.has(batch.id)) advance(batch).catch(reportOwnFault);
      schedule();
    }, tickMs());
    timer.unref();
  }
  return {
    add(batch) {
      batches.set(batch.id, batch);
      live.set(batch.id, batch);
      schedule();
    },
    remove(id) {
      batches.delete(id);
      live.delete(id);
    },
    async touch(id) {
      const batch = live.get(id);
      if (batch === undefined) return;
      let waiting: NodeJS.Timeout | undefined;
      const moment = new Promise<void>((resolve) => {
        waiting = setTimeout(resolve, READER_WAITS_MS);
      });
      const turn = advance(batch);
      turn.catch(() => undefined);
      await Promise.race([turn, moment]);
      clearTimeout(waiting);
    },
    async settle() {
      await Promise.all([...live.values()].map(advance));
    },
    describe: () => [...batches.values()].map((batch) => batch.describe()),
    stopped: () => stopped,
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await Promise.allSettled(turns.values());
      for (const batch of live.values()) batch.release();
    },
  };
}

/** A fault of the simulator itself must be seen. */
function reportOwnFault(error: unknown): void {
  process.stderr.write(
    `simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
}
