import { describe, expect, it } from 'vitest';
import { gather } from './gather.ts';

/** Performs by hand: each call waits until the test answers it. */
function byHand<Result = string>() {
  const calls: {
    items: readonly string[];
    answer: (results: Result[]) => void;
    fail: (error: unknown) => void;
  }[] = [];
  const perform = (items: readonly string[]) =>
    new Promise<Result[]>((answer, fail) => {
      calls.push({ items, answer, fail });
    });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return { calls, perform, turn, sizes: () => calls.map((call) => call.items.length) };
}
const echo = (items: readonly string[]) => items.map((item) => item.toUpperCase());

describe('calls that arrive together', () => {
  it('share one call, and each gets its own result', async () => {
    const { calls, perform, turn } = byHand();
    const one = gather(perform, { maxItems: 10, concurrency: 2 });
    const results = Promise.all(['a', 'b', 'c'].map(one));
    await turn();
    expect(calls.map((call) => call.items)).toEqual([['a', 'b', 'c']]);
    calls[0]!.answer(echo(calls[0]!.items));
    expect(await results).toEqual(['A', 'B', 'C']);
  });

  it('leave at once while there is room, wait while there is none, and never exceed the size of a call', async () => {
    const { calls, perform, turn, sizes } = byHand();
    const one = gather(perform, { maxItems: 3, concurrency: 2 });
    const results = Promise.all(Array.from({ length: 11 }, (_, index) => one(`i${index}`)));
    await turn();
    await turn();
    expect(sizes()).toEqual([3, 3]);
    calls[0]!.answer(echo(calls[0]!.items));
    await turn();
    expect(sizes()).toEqual([3, 3, 3]);
    calls[1]!.answer(echo(calls[1]!.items));
    calls[2]!.answer(echo(calls[2]!.items));
    await turn();
    expect(sizes()).toEqual([3, 3, 3, 2]);
    calls[3]!.answer(echo(calls[3]!.items));
    expect(await results).toEqual(Array.from({ length: 11 }, (_, index) => `I${index}`));
  });

  it('all get the error of the call', async () => {
    const { calls, perform, turn } = byHand();
    const one = gather(perform, { maxItems: 10, concurrency: 1 });
    const results = Promise.allSettled(['a', 'b'].map(one));
    await turn();
    const error = new Error('no');
    calls[0]!.fail(error);
    expect(await results).toEqual([1, 2].map(() => ({ status: 'rejected', reason: error })));
    const next = one('c');
    await turn();
    calls[1]!.answer(['C']);
    expect(await next).toBe('C');
  });
});

describe('calls of which one is bad', () => {
  const refusing = (bad: string) => {
    const seen: number[] = [];
    const perform = async (items: readonly string[]) => {
      seen.push(items.length);
      if (items.includes(bad)) throw new Error(`${bad} is bad`);
      return echo(items);
    };
    return { seen, perform };
  };

  it('are done again alone, so that only the bad one fails', async () => {
    const { seen, perform } = refusing('b');
    const one = gather(perform, { maxItems: 10, concurrency: 1, retryAlone: () => true });
    const results = await Promise.allSettled(['a', 'b', 'c'].map(one));
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed'))).toEqual([
      'A',
      'failed',
      'C',
    ]);
    expect(seen).toEqual([3, 1, 1, 1]);
  });

  it('are not done again when the error hits all of them', async () => {
    const { seen, perform } = refusing('b');
    const one = gather(perform, { maxItems: 10, concurrency: 1, retryAlone: () => false });
    expect((await Promise.allSettled(['a', 'b'].map(one))).map((result) => result.status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(seen).toEqual([2]);
  });

  it('also when it comes alone: it is tried once', async () => {
    const { seen, perform } = refusing('b');
    const one = gather(perform, { maxItems: 10, concurrency: 1, retryAlone: () => true });
    await expect(one('b')).rejects.toThrow('b is bad');
    expect(seen).toEqual([1]);
  });

  it('and that throw before they begin fail alike', async () => {
    const one = gather<string, string>(
      () => {
        throw new Error('at once');
      },
      { maxItems: 10, concurrency: 1 },
    );
    await expect(one('a')).rejects.toThrow('at once');
  });
});
