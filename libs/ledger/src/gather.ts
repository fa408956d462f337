/**
 * Makes one call out of many that arrive together. While fewer than `concurrency` calls are under way an item leaves at
 * the end of the present turn of the event loop; otherwise it waits and shares the next call, so a lone item is not
 * delayed and a burst needs few round trips. `perform` returns one result per item, in order; when it throws, each of its
 * items gets the error (or, with `retryAlone`, a call of its own, so that one bad item hurts only itself).
 */
export function gather<Item, Result>(
  perform: (items: readonly Item[]) => Promise<readonly Result[]>,
  options: { maxItems: number; concurrency: number; retryAlone?: (error: unknown) => boolean },
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let underWay = 0;
  let scheduled = false;

  return (item) =>
    new Promise<Result>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      schedule();
    });

  function schedule(): void {
    if (scheduled || underWay >= options.concurrency || waiting.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const batch = waiting.slice(0, options.maxItems);
      waiting = waiting.slice(options.maxItems);
      underWay += 1;
      void run(batch).finally(() => {
        underWay -= 1;
        schedule();
      });
      schedule();
    });
  }

  async function run(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await perform(batch.map((each) => each.item));
      batch.forEach((each, index) => {
        each.resolve(results[index] as Result);
      });
    } catch (error) {
      if (batch.length > 1 && options.retryAlone?.(error)) {
        await Promise.all(batch.map((each) => run([each])));
        return;
      }
      for (const each of batch) each.reject(error);
    }
  }
}
