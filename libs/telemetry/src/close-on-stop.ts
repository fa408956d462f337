import type { Service } from '@millrace/contracts';

/** A service for what needs no start and is closed, once, after all that uses it: put it first in the list. */
export function closeOnStop(name: string, close: () => Promise<void>): Service {
  let closed = false;
  return {
    name,
    start: () => Promise.resolve(),
    async stop() {
      if (closed) return;
      closed = true;
      await close();
    },
  };
}
