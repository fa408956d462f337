import type { Ask } from './signals.ts';
import { NodeFailed, Suspended, suspend } from './signals.ts';
import type { Settled } from './step.ts';

/** How several nodes stand after all of them ran as far as they can; the lists are in the order of the nodes. */
interface Gathered {
  /** One entry per node, null for one that failed or waits. */
  completed: (Settled | null)[];
  failed: NodeFailed[];
  /** What the waiting nodes ask for, empty when none waits. */
  asks: Ask[];
}

/**
 * Lets every node run as far as it can. Unlike `Promise.all` it does not turn away at the first that waits, so nobody's
 * ask is missed.
 */
export async function gather(nodes: readonly Promise<Settled>[]): Promise<Gathered> {
  const gathered: Gathered = { completed: [], failed: [], asks: [] };
  for (const result of await Promise.allSettled(nodes)) {
    if (result.status === 'fulfilled') {
      gathered.completed.push(result.value);
      continue;
    }
    gathered.completed.push(null);
    if (result.reason instanceof NodeFailed) gathered.failed.push(result.reason);
    else if (result.reason instanceof Suspended)
      for (const ask of result.reason.asks) gathered.asks.push(ask);
    else throw result.reason;
  }
  return gathered;
}

/**
 * All outputs in order, or the failure that came first: of several it is the one with the smallest ordinal, so that the
 * plan fails for the same reason however many more failures are recorded later.
 */
export async function gatherAll(nodes: readonly Promise<Settled>[], after: number): Promise<Settled[]> {
  const { completed, failed, asks } = await gather(nodes);
  const first = earliest(failed);
  if (first) throw first;
  if (asks.length > 0) suspend(asks);
  return completed.map((settled) => settled ?? { output: null, ordinal: after });
}

/** The entry with the smallest ordinal, the first of equals. */
export function earliest<Entry extends { ordinal: number }>(entries: readonly Entry[]): Entry | undefined {
  let first: Entry | undefined;
  for (const entry of entries) {
    if (first === undefined || entry.ordinal < first.ordinal) first = entry;
  }
  return first;
}

/** The largest ordinal of the entries, at least `after`. */
export function latestOrdinal(after: number, entries: readonly { ordinal: number }[]): number {
  let latest = after;
  for (const entry of entries) latest = Math.max(latest, entry.ordinal);
  return latest;
}
