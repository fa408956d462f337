import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `condition` answers something else than false, null or undefined, and answers that. Rejects after
 * `timeoutMs` (5,000) with a message that says `what` was waited for. An error of the condition counts as "not yet"
 * and is the cause of that message. Await an event instead wherever there is one.
 */
export async function waitFor<Result>(
  condition: () => Result | Promise<Result>,
  request: { timeoutMs?: number; intervalMs?: number; what: string | (() => string) },
): Promise<NonNullable<Exclude<Result, false>>> {
  const timeoutMs = request.timeoutMs ?? 5_000;
  const deadlineAt = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const result = await condition();
      if (result !== false && result !== null && result !== undefined) {
        return result as NonNullable<Exclude<Result, false>>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadlineAt) {
      const what = typeof request.what === 'string' ? request.what : request.what();
      throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause });
    }
    await delay(request.intervalMs ?? 20);
  }
}
