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

export function collect<Item>(iteration: AsyncGenerator<Item, void, undefined>): Collection<Item> {
  const events: Item[] = [];
  const waiting = new Set<() => void>();
  let isStopped = false;
  const done = (async () => {
    for await (const each of iteration) {
      events.push(each);
      for (const look of waiting) look();
      if (isStopped) break;
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
      isStopped = true;
      // Waits for the next item, if there is none the caller has to abort instead.
      void iteration.return();
    },
  };
}
