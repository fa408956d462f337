import { findOpenLines, releaseLines } from '@millrace/ledger';
import type { BatchRecord } from '@millrace/ledger';
import type { LaneDependencies } from './lane-dependencies.ts';
import { tell } from './tell.ts';

const AT_A_TIME = 500;
/** A step whose batch failed it twice goes to realtime: a third one would hardly do better. */
const MOST_BATCHES = 2;

/** Why lines are given back, and where their steps may go. */
export interface Giving {
  reason: string;
  message: string;
  /** Null sends all steps to realtime; else those that may stay this long are collected again. */
  batchTakesMs: number | null;
  /** Absent: the batch counts as one of the two that a step gets. */
  countsBatch?: boolean;
  /** How long steps that are collected again wait. */
  delayMs?: number;
}

/** Gives back lines that the provider has not billed. */
export async function giveBack(
  dependencies: LaneDependencies,
  batch: Pick<BatchRecord, 'id' | 'target'>,
  lines: readonly number[],
  giving: Giving,
): Promise<void> {
  const { reason, message, batchTakesMs, countsBatch = true, delayMs = 0 } = giving;
  const { wakes, collected, events } = await releaseLines(dependencies.database, {
    batchId: batch.id,
    lines,
    reason,
    message,
    batchTakesMs,
    countsBatch,
    delayMs,
    maxBatches: MOST_BATCHES,
  });
  const { metrics } = dependencies;
  metrics.batchLines.inc({ target: batch.target, outcome: 'unbilled' }, lines.length);
  if (wakes.length > 0) metrics.batchEscapes.inc({ reason }, wakes.length);
  dependencies.log.info({ batch: batch.id, reason, count: lines.length, collected }, 'lines were given back');
  await tell(dependencies, { wakes, events });
}

/** {@link giveBack} for every line of a batch that has no outcome. */
export async function giveBackAll(
  dependencies: LaneDependencies,
  batch: Pick<BatchRecord, 'id' | 'target'>,
  giving: Giving,
): Promise<void> {
  for (let after = -1; ;) {
    const lines = await findOpenLines(dependencies.database, batch.id, after, AT_A_TIME);
    const last = lines.at(-1);
    if (!last) return;
    await giveBack(
      dependencies,
      batch,
      lines.map((each) => each.line),
      giving,
    );
    after = last.line;
  }
}
