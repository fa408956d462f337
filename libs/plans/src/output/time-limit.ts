import { createContext, Script } from 'node:vm';

/** Runs synchronous work; throws {@link TookTooLong} when it was broken off. What the work throws is passed on. */
export type TimeLimit = <Result>(work: () => Result) => Result;

/** The work did not come to its end in time. */
export class TookTooLong extends Error {
  constructor(limitMs: number) {
    super(`not done within ${limitMs} ms`);
    this.name = 'TookTooLong';
  }
}

/**
 * Makes a limit on synchronous work. Nothing else can end a regular expression that backtracks, and while one runs the
 * process does nothing else. A run costs some 20 µs. Work that must not be broken off half way has no place here.
 */
export function createTimeLimit(limitMs: number): TimeLimit {
  const sandbox: { work: () => void } = { work: () => undefined };
  const context = createContext(sandbox);
  const script = new Script('work()');
  return <Result>(work: () => Result): Result => {
    let result: { value: Result } | undefined;
    sandbox.work = () => {
      result = { value: work() };
    };
    try {
      script.runInContext(context, { timeout: limitMs });
    } catch (error) {
      // The error may be of the context's own realm, where instanceof does not reach.
      const { code } = Object(error) as { code?: unknown };
      throw code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? new TookTooLong(limitMs) : error;
    } finally {
      // What the work refers to must not live as long as the limit.
      sandbox.work = () => undefined;
    }
    if (!result) throw new TypeError('the work was not run');
    return result.value;
  };
}
