import type { Queryable } from '../database.ts';
import { findBatchDurations } from './batch-durations.ts';
import type { BatchDurations } from './batch-durations.ts';

/** What is known of batches, kept at hand. Durations are in milliseconds. */
export interface KnownDurations {
  /** Reads the ledger again when what is known is older than ten seconds. */
  refresh(): Promise<void>;
  /** Within which time a target's batches are believed to be answered, 99 in 100. */
  expectedMs(target: string): number;
  /** What is kept before a deadline for the way back to realtime: `leastMs`, or twice what escaped steps were seen to need. */
  marginMs(target: string, leastMs: number): number;
}

const FRESH_MS = 10_000;

/** Knows nothing before its first {@link KnownDurations.refresh}. */
export function createKnownDurations(database: Queryable, now: () => number): KnownDurations {
  let known = new Map<string, BatchDurations>();
  let readAt = -Infinity;
  return {
    async refresh() {
      if (now() - readAt < FRESH_MS) return;
      readAt = now();
      known = new Map((await findBatchDurations(database)).map((each) => [each.target, each]));
    },
    expectedMs: (target) => expectedBatchMs(known.get(target)),
    marginMs: (target, leastMs) => Math.max(leastMs, 2 * (known.get(target)?.escapeP99Ms ?? 0)),
  };
}

/** What is believed while nobody has seen enough batches: providers promise 24 h and mostly need less. */
const UNKNOWN_BATCH_MS = 20 * 3_600_000;
const ENOUGH_BATCHES = 10;

/** By what has been seen: `p99Ms` of `count` batches. Few sightings are trusted less, and ten at least are needed. */
export function expectedBatchMs(known: { count: number; p99Ms: number } | undefined): number {
  if (!known || known.count < ENOUGH_BATCHES) return UNKNOWN_BATCH_MS;
  return Math.min(UNKNOWN_BATCH_MS, known.p99Ms * (1 + 2 / Math.sqrt(known.count)));
}
