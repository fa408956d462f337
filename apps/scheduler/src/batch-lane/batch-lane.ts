import type { Service } from '@millrace/contracts';
import { createKnownDurations, measureBatches, pruneBatches } from '@millrace/ledger';
import { createRepeat } from '@millrace/telemetry';
import { createBatchRunner } from './batch-runner.ts';
import { collect } from './collect.ts';
import { escapeLate } from './escape.ts';
import type { LaneDependencies } from './lane-dependencies.ts';

const MEASURE_EVERY_MS = 5_000;
const PRUNE_EVERY_MS = 60_000;
const PRUNE_AT_A_TIME = 500;
const DISCARD_EVERY_MS = 1_000;

/**
 * The batch lane, as services of the leading scheduler: one takes steps out whose time has come, one collects, one carries
 * batches on. They meet only in the ledger, so that a long reading keeps no deadline waiting.
 */
export function createBatchLane(
  dependencies: LaneDependencies,
  options: { when: () => boolean; everyMs: number; retentionMs: number },
): Service[] {
  const { database, leftovers, onError, now } = dependencies;
  const { when, everyMs, retentionMs } = options;
  const durations = createKnownDurations(database, now);
  const runner = createBatchRunner(dependencies, durations);
  const repeat = (name: string, work: () => Promise<void>, every = everyMs): Service =>
    createRepeat({ name, everyMs: every, when, work, onError });
  return [
    runner,
    repeat('escapes from the batch lane', () => escapeLate(dependencies)),
    repeat('collector of the batch lane', () => collect(dependencies, durations)),
    repeat('batches that are due', () => runner.begin()),
    // They are this process's own, also when another one leads by now.
    createRepeat({
      name: 'deletion of files at providers',
      everyMs: DISCARD_EVERY_MS,
      // A vendor that hangs must not keep the process from stopping.
      work: () => {
        void leftovers.discardDue();
        return Promise.resolve();
      },
      onError,
    }),
    repeat('gauges of the batch lane', () => measure(dependencies), MEASURE_EVERY_MS),
    repeat(
      'pruning of batches',
      async () => void (await pruneBatches(database, retentionMs, PRUNE_AT_A_TIME)),
      PRUNE_EVERY_MS,
    ),
  ];
}

async function measure({ database, metrics }: LaneDependencies): Promise<void> {
  const { collected, batches } = await measureBatches(database);
  metrics.batchCollected.reset();
  metrics.batchCollectedSeconds.reset();
  metrics.batches.reset();
  for (const { target, count, oldestAgeSeconds } of collected) {
    metrics.batchCollected.set({ target }, count);
    metrics.batchCollectedSeconds.set({ target }, oldestAgeSeconds);
  }
  for (const { target, status, count } of batches) metrics.batches.set({ target, state: status }, count);
}
