import { setTimeout as delay } from 'node:timers/promises';

/** Any time that is not zero: before it is over, Node has read what the sockets hold. */
const LAST_LOOK_MS = 50;

/**
 * Waits until `condition` answers something else than false, null or undefined, and answers that. Rejects after
 * `timeoutMs` (15,000) with a message that says `what` was waited for. An error of the condition counts as "not yet"
 * and is the cause of that message. Await an event instead wherever there is one.
 *
 * The last look begins after the deadline, when what had arrived by then is read: a process that stood still would blame its
 * own silence on what it waits for.
 */
export async function waitFor<Result>(
  condition: () => Result | Promise<Result>,
  request: { timeoutMs?: number; intervalMs?: number; what: string | (() => string) },
): Promise<NonNullable<Exclude<Result, false>>> {
  const timeoutMs = request.timeoutMs ?? 15_000;
  const deadlineAt = performance.now() + timeoutMs;
  let cause: unknown;
  for (let isLast = false; ;) {
    try {
      const result = await condition();
      if (result !== false && result !== null && result !== undefined) {
        return result as NonNullable<Exclude<Result, false>>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (isLast) {
      const what = typeof request.what === 'string' ? request.what : request.what();
      throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause });
    }
    isLast = performance.now() >= deadlineAt;
    await delay(isLast ? LAST_LOOK_MS : (request.intervalMs ?? 20));
  }
}
