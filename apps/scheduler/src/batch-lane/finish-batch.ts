import { RetryableError, TerminalError, formatUsd } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { endBatch } from '@millrace/ledger';
import type { BatchOutcome, BatchRecord, BatchSums } from '@millrace/ledger';
import type { BatchPort, ProviderBatch } from '@millrace/providers';
import type { LaneDependencies } from './lane-dependencies.ts';
import type { Leftover } from './leftovers.ts';

/**
 * How a batch ends: as the vendor shows it, or by our own decision. `keeps`: it may be somebody else's, and so it is not
 * deleted.
 */
export type Finish = { shown: ProviderBatch; keeps: boolean } | { outcome: BatchOutcome };

/** Deletes the vendor's files, compares the bills and ends the batch. All its lines have an outcome. */
export async function finishBatch(
  dependencies: LaneDependencies,
  port: BatchPort | null,
  batch: BatchRecord,
  finish: Finish,
): Promise<void> {
  const leftover = port && (await discardAll(dependencies, port, batch, finish));
  crashPoint('batch.discarded', batch.id);
  const sums = await endBatch(dependencies.database, batch, 'outcome' in finish ? finish.outcome : null);
  // Somebody else has ended it meanwhile, and has counted.
  if (!sums) return;
  if (leftover) dependencies.leftovers.add(port, leftover);
  report(dependencies, batch, finish, sums);
}

async function discardAll(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  finish: Finish,
): Promise<Leftover | null> {
  if ('outcome' in finish) return discardUploaded(dependencies, port, batch);
  return finish.keeps ? null : discard(dependencies, port, finish.shown);
}

/**
 * Deletes what a batch that was never created, or is gone, has at the vendor: the file that was uploaded for it. Returns what could
 * not be deleted now, to be added to the leftovers once nobody can create a batch from it any more.
 */
export async function discardUploaded(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
): Promise<Leftover | null> {
  // The handles of one that may be somebody else's are not ours to delete.
  if (Object.keys(batch.handles).length === 0 || !batch.certain) return null;
  return discard(dependencies, port, {
    providerBatchId: batch.providerBatchId ?? '',
    phase: 'failed',
    counts: null,
    createdAt: batch.createdAt,
    expiresAt: batch.expiresAt,
    endedAt: dependencies.now(),
    failure: null,
    handles: batch.handles,
    usage: null,
  });
}

/** Nothing waits for a file that stays: its deletion is tried again beside, and the vendor's expiry takes what is left. */
async function discard(
  { onError }: LaneDependencies,
  port: BatchPort,
  shown: ProviderBatch,
): Promise<Leftover | null> {
  try {
    await port.discard(shown);
    return null;
  } catch (error) {
    if (!(error instanceof RetryableError) && !(error instanceof TerminalError)) throw error;
    onError(error);
    return error instanceof RetryableError ? { batch: shown, error } : null;
  }
}

function report(
  { metrics, log }: LaneDependencies,
  batch: BatchRecord,
  finish: Finish,
  sums: BatchSums,
): void {
  const { target } = batch;
  const shown = 'shown' in finish ? finish.shown : null;
  const outcome = 'outcome' in finish ? finish.outcome : finish.shown.phase;
  metrics.batchesEnded.inc({ target, outcome });
  metrics.batchSavedUsd.inc({ target }, Math.max(0, sums.savedMicroUsd) / 1_000_000);
  if (shown?.endedAt != null) {
    metrics.batchSeconds.observe({ target }, Math.max(0, shown.endedAt - shown.createdAt) / 1_000);
  }
  log.info(
    {
      batch: batch.id,
      provider_batch: batch.providerBatchId,
      target,
      outcome,
      lines: batch.lineCount,
      input_tokens: sums.inputTokens,
      output_tokens: sums.outputTokens,
      cost_usd: formatUsd(sums.costMicroUsd),
      paid_twice: sums.paidTwice,
    },
    'a batch has ended',
  );
  if (shown?.usage && differs(shown.usage, sums)) {
    metrics.batchUsageMismatches.inc({ target });
    log.warn(
      {
        batch: batch.id,
        provider_batch: batch.providerBatchId,
        target,
        input_tokens: shown.usage.inputTokens,
        output_tokens: shown.usage.outputTokens,
      },
      'the provider sums up other tokens than its lines',
    );
  }
}

function differs(theirs: { inputTokens: number; outputTokens: number }, ours: BatchSums): boolean {
  return theirs.inputTokens !== ours.inputTokens || theirs.outputTokens !== ours.outputTokens;
}
