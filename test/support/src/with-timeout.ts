import { orLate } from '@millrace/contracts';

/** The promise's own result, or a rejection that says `what` did not happen within `timeoutMs`. */
export function withTimeout<Result>(
  promise: Promise<Result>,
  timeoutMs: number,
  what: string,
): Promise<Result> {
  return orLate(promise, timeoutMs, (): never => {
    throw new Error(`waited ${timeoutMs} ms for ${what}`);
  });
}
