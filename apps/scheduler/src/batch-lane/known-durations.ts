import { expectedBatchMs } from '@millrace/calls';
import { findBatchDurations } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';

/** Within which time a target's batches are answered, by what the ledger has seen lately. */
export interface KnownDurations {
  /** Reads the ledger again when what is known is older than ten seconds. */
  refresh(): Promise<void>;
  expectedMs(target: string): number;
}

const FRESH_MS = 10_000;

export function createKnownDurations(database: Queryable, now: () => number): KnownDurations {
  let known = new Map<string, { count: number; p99Ms: number }>();
  let readAt = -Infinity;
  return {
    async refresh() {
      if (now() - readAt < FRESH_MS) return;
      known = new Map((await findBatchDurations(database)).map((each) => [each.target, each]));
      readAt = now();
    },
    expectedMs: (target) => expectedBatchMs(known.get(target)),
  };
}
