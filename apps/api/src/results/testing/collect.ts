import { withTimeout } from '@millrace/test-support';

/** What an iteration has given so far. */
export interface Collection<Item> {
  events: Item[];
  /** All items, when the iteration has ended. */
  done: Promise<Item[]>;
  /** Resolves when there are so many. */
  has(count: number, timeoutMs?: number): Promise<void>;
  /** Leaves the iteration. */
  stop(): Promise<void>;
}

/** Runs an iteration that ends when its signal is aborted. */
export function collect<Item>(
  start: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>,
): Collection<Item> {
  const leaving = new AbortController();
  const events: Item[] = [];
  const waiting = new Set<() => void>();
  const done = (async () => {
    for await (const each of start(leaving.signal)) {
      events.push(each);
      for (const look of waiting) look();
    }
    return events;
  })();
  return {
    events,
    done,
    async has(count, timeoutMs = 10_000) {
      const enough = new Promise<void>((resolve) => {
        const look = (): void => {
          if (events.length >= count) resolve();
        };
        waiting.add(look);
        look();
      });
      await withTimeout(enough, timeoutMs, `${count} events`);
    },
    async stop() {
      leaving.abort();
      await withTimeout(done, 2_000, 'the iteration to end');
    },
  };
}
