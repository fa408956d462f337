import { RetryableError } from '@millrace/contracts';
import type { BatchPort, ProviderBatch } from '@millrace/providers';
import { backoffMs } from './backoff.ts';

/** Deletions in a row that fail before a file is left to the vendor's own expiry: about a quarter of an hour. */
const MOST_TRIES = 8;
const MOST_HELD = 1_000;
const AT_A_TIME = 5;

/** What could not be deleted at a vendor, and why. */
export interface Leftover {
  batch: ProviderBatch;
  error: RetryableError;
}

/**
 * What is to be deleted at vendors and could not be for a reason that may pass: tried again beside all other work, ever more
 * seldom. It lives in this process; what is lost with it expires at the vendor.
 */
export interface Leftovers {
  /** Only what is certainly ours, and that nobody reads or submits any more. */
  add(port: BatchPort, leftover: Leftover): void;
  /** Deletes what is due. Never throws. */
  discardDue(): Promise<void>;
}

interface Held extends Pick<Leftover, 'batch'> {
  port: BatchPort;
  tries: number;
  dueAt: number;
}

export function createLeftovers(options: {
  now: () => number;
  random: () => number;
  onError: (error: unknown) => void;
}): Leftovers {
  const { now, random, onError } = options;
  const held = new Set<Held>();

  function postpone(each: Held, error: RetryableError): void {
    each.tries += 1;
    each.dueAt = now() + backoffMs(each.tries, error, random());
  }

  async function discard(each: Held): Promise<void> {
    try {
      await each.port.discard(each.batch);
      held.delete(each);
    } catch (error) {
      if (error instanceof RetryableError && each.tries < MOST_TRIES) return postpone(each, error);
      held.delete(each);
      onError(error);
    }
  }

  return {
    add(port, { batch, error }) {
      if (held.size >= MOST_HELD) return;
      const added = { port, batch, tries: 0, dueAt: 0 };
      postpone(added, error);
      held.add(added);
    },
    async discardDue() {
      const due = [...held].filter(({ dueAt }) => dueAt <= now()).slice(0, AT_A_TIME);
      // Nobody begins it a second time while it is under way.
      for (const each of due) each.dueAt = Infinity;
      await Promise.all(due.map(discard));
    },
  };
}
