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
  /** The vendor may have answered and billed the lines, and nobody can read it: they count as ambiguous, their bookings stay. */
  maybeBilled: boolean;
  /** Null sends all steps to realtime; else those that may stay this long are collected again. */
  batchTakesMs: number | null;
  /** Absent: the batch counts as one of the two that a step gets. */
  countsBatch?: boolean;
  /** How long steps that are collected again wait. */
  delayMs?: number;
}

/** Gives back lines that will not be answered any more. Returns how many were left, because others work on their jobs. */
export async function giveBack(
  dependencies: LaneDependencies,
  batch: Pick<BatchRecord, 'id' | 'target'>,
  lines: readonly number[],
  giving: Giving,
): Promise<number> {
  const { reason, message, maybeBilled, batchTakesMs, countsBatch = true, delayMs = 0 } = giving;
  const { wakes, collected, held, toBeAsked, events } = await releaseLines(dependencies.database, {
    batchId: batch.id,
    lines,
    reason,
    message,
    maybeBilled,
    batchTakesMs,
    countsBatch,
    delayMs,
    maxBatches: MOST_BATCHES,
  });
  const { metrics } = dependencies;
  const { target } = batch;
  const count = lines.length - held;
  metrics.batchLines.inc({ target, outcome: maybeBilled ? 'ambiguous' : 'unbilled' }, count);
  // The worker that holds a step counts its call.
  if (maybeBilled) metrics.ambiguousCalls.inc({ target }, count - toBeAsked);
  if (wakes.length > 0) metrics.batchEscapes.inc({ reason }, wakes.length);
  dependencies.log.info(
    { batch: batch.id, reason, count, collected, ambiguous: maybeBilled },
    'lines were given back',
  );
  await tell(dependencies, { wakes, events });
  return held;
}

/** {@link giveBack} for every line of a batch that has no outcome. Throws when some were left: the batch is looked at again for them. */
export async function giveBackAll(
  dependencies: LaneDependencies,
  batch: Pick<BatchRecord, 'id' | 'target'>,
  giving: Giving,
): Promise<void> {
  let held = 0;
  for (let after = -1; ;) {
    const lines = await findOpenLines(dependencies.database, batch.id, after, AT_A_TIME);
    const last = lines.at(-1);
    if (last === undefined) break;
    held += await giveBack(dependencies, batch, lines, giving);
    after = last;
  }
  if (held > 0) throw new Error(`${held} lines of ${batch.id} cannot be given back yet`);
}
