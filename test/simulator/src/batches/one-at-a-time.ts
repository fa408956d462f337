/** Runs asynchronous work one piece after the other, in the order of the calls. */
export function createOneAtATime(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const result = last.then(work, work);
    last = result.catch(() => undefined);
    return result;
  };
}
