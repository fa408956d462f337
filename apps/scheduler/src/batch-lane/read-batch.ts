import { TerminalError } from '@millrace/contracts';
import { crashPoint, hasDefect } from '@millrace/faults';
import { countOpenLines } from '@millrace/ledger';
import type { BatchRecord, KnownDurations } from '@millrace/ledger';
import type { BatchLineResult, BatchPort, ProviderBatch } from '@millrace/providers';
import { finishBatch } from './finish-batch.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { LEASE_MS } from './lease.ts';
import { lineNumber } from './line-name.ts';
import { note } from './note.ts';
import { recordLines } from './record-lines.ts';
import type { NumberedResult } from './record-lines.ts';
import { giveBackAll } from './release.ts';
import type { Giving } from './release.ts';

const AT_A_TIME = 200;
/** Of answers that are held and recorded together; one answer may be larger. */
const CHARACTERS_AT_A_TIME = 2_000_000;
/** How often results that lack lines are read again before those lines are given up. */
const MOST_READINGS = 4;
/** How often results that the vendor says it does not have are asked for: about a quarter of an hour. */
const MOST_MISSES = 10;
/** How long steps wait whose batch found no room in the provider's queue. */
const QUEUE_FULL_MS = 60_000;

/**
 * Records the results of an ended batch, then gives back what has none. Reading again from the start after a crash finds the
 * recorded lines closed, so that none is lost or counted twice.
 */
export async function readBatch(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  shown: ProviderBatch,
  context: { durations: KnownDurations; signal: AbortSignal },
): Promise<void> {
  const { isOurs, areGone } = await recordAll(dependencies, port, batch, shown, context).then(
    (ours) => ({ isOurs: ours, areGone: false }),
    (error: unknown) => {
      const isGone = error instanceof TerminalError && error.failure.httpStatus === 404;
      if (!isGone || batch.tries < MOST_MISSES) throw error;
      dependencies.onError(error);
      return { isOurs: batch.certain ? true : null, areGone: true };
    },
  );
  if (isOurs === false) return disown(dependencies, batch);
  // Before its files are deleted, which tell it.
  if (isOurs && !batch.certain) await note(dependencies, batch, { certain: true, wakeInMs: LEASE_MS });
  crashPoint('batch.read', batch.id);
  const missing = await countOpenLines(dependencies.database, batch.id);
  if (missing > 0) {
    const isPatient = shown.phase === 'completed' && batch.tries < MOST_READINGS;
    if (isPatient) throw new Error(`${missing} lines of ${batch.id} have no result yet`);
    const giving = reasonOf(shown, context.durations.expectedMs(batch.target));
    // What tells nothing may not be ours, and ours lie somewhere else, answered. One of ours that failed has answered nothing.
    const maybeBilled = giving.maybeBilled || isOurs === null || (areGone && shown.phase !== 'failed');
    await giveBackAll(dependencies, batch, { ...giving, maybeBilled });
  }
  await finishBatch(dependencies, port, batch, { shown, keeps: isOurs === null });
}

/** False when the results are not ours: then nothing of them was recorded. Null when there is none that tells. */
async function recordAll(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  shown: ProviderBatch,
  { durations, signal }: { durations: KnownDurations; signal: AbortSignal },
): Promise<boolean | null> {
  let isOurs = batch.certain ? true : null;
  let waiting: NumberedResult[] = [];
  let characters = 0;
  const record = async (): Promise<void> => {
    const results = waiting;
    waiting = [];
    characters = 0;
    if (results.length === 0) return;
    crashPoint('batch.line', batch.id);
    await recordLines(dependencies, batch, results, durations.expectedMs(batch.target));
    crashPoint('batch.lines-recorded', batch.id);
    await note(dependencies, batch, { wakeInMs: LEASE_MS });
    signal.throwIfAborted();
  };
  for await (const result of port.results(shown, signal)) {
    const line = lineNumber(batch.id, result.customId);
    if (line === null) {
      if (!batch.certain) return false;
      reportStranger(dependencies, batch, result);
      continue;
    }
    isOurs = true;
    if (hasDefect('lose-batch-line') && line === 1) continue;
    waiting.push({ line, result });
    characters += lengthOf(result);
    if (waiting.length >= AT_A_TIME || characters >= CHARACTERS_AT_A_TIME) await record();
  }
  await record();
  return isOurs;
}

function lengthOf(result: BatchLineResult): number {
  if (result.kind !== 'answered') return 0;
  const { text, embeddings = [] } = result.answer;
  return embeddings.reduce((sum, vector) => sum + vector.length, text.length);
}

/** A batch that was recognised by its size and time turns out to be somebody else's: ours was never created, or is another one. */
async function disown(dependencies: LaneDependencies, batch: BatchRecord): Promise<void> {
  dependencies.log.warn({ batch: batch.id, provider_batch: batch.providerBatchId }, 'a batch was not ours');
  await note(dependencies, batch, {
    status: 'submitting',
    phase: 'submitting',
    forgets: true,
    certain: true,
    handles: {},
    wakeInMs: 0,
  });
}

function reportStranger({ log }: LaneDependencies, batch: BatchRecord, { kind }: BatchLineResult): void {
  log.warn({ batch: batch.id, outcome: kind }, 'a result belongs to no line of its batch');
}

function reasonOf({ phase, failure }: ProviderBatch, batchTakesMs: number): Giving {
  if (phase === 'failed' && failure?.code === 'token_limit_exceeded') {
    const message = 'The provider’s queue for batches was full.';
    const later = { countsBatch: false, delayMs: QUEUE_FULL_MS };
    return { reason: 'batch_queue_full', message, maybeBilled: false, batchTakesMs, ...later };
  }
  if (phase === 'completed') {
    const message = 'The batch completed without a result for this line.';
    return { reason: 'batch_line_missing', message, maybeBilled: true, batchTakesMs };
  }
  const message = `The batch ended as ${phase}${failure ? `: ${failure.message}` : ''}.`;
  return { reason: `batch_${phase}`, message, maybeBilled: false, batchTakesMs };
}
