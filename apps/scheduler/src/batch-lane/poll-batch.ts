import { RetryableError, TerminalError } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { isBatchWanted, noteAnswered } from '@millrace/ledger';
import type { BatchOutcome, BatchRecord } from '@millrace/ledger';
import type { BatchPhase, BatchPort, ProviderBatch } from '@millrace/providers';
import { pollDelayMs } from './backoff.ts';
import { escapeWholeBatch } from './escape.ts';
import { finishBatch } from './finish-batch.ts';
import { GRACE_MS } from './is-long-over.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { LEASE_MS } from './lease.ts';
import { note } from './note.ts';
import { giveBackAll } from './release.ts';
import { tell } from './tell.ts';

/** How many failures in a row come before a vendor is believed that it does not know a batch: about a quarter of an hour. */
const MOST_MISSES = 10;
/** A vendor's list may lag behind a creation this long; a batch that it does not show is one that is not there yet. */
const NOT_YET_MS = 10 * 60_000;
/** How many jobs hear of each look: those with the most lines. */
const MOST_TOLD = 200;

/** Looks at a running batch. The batch as the vendor shows it when it has ended, null while it has not. */
export async function pollBatch(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
): Promise<ProviderBatch | null> {
  crashPoint('batch.poll', batch.id);
  const shown = await retrieveBatch(dependencies, port, batch);
  if (!shown) return null;
  const outcome = outcomeOf(shown.phase);
  const { phase, counts, usage, failure, expiresAt } = shown;
  const seen = { phase, counts, usage, failure, expiresAt, polled: true, tries: 0 };
  if (outcome !== null) {
    const endedAt = shown.endedAt ?? dependencies.now();
    const handles = { ...batch.handles, ...shown.handles };
    await note(dependencies, batch, {
      ...seen,
      status: 'reading',
      outcome,
      endedAt,
      handles,
      wakeInMs: LEASE_MS,
    });
    return shown;
  }
  if (shown.expiresAt !== null && dependencies.now() > shown.expiresAt + GRACE_MS) {
    await escapeWholeBatch(dependencies, batch.id, 'batch_stuck');
  }
  const cancelRequestedAt = await cancelUnwanted(dependencies, port, batch);
  const wakeInMs = pollDelayMs(batch.polls, dependencies.settings.longestPollMs, dependencies.random());
  await note(dependencies, batch, { ...seen, ...cancelRequestedAt, wakeInMs });
  if (batch.certain && (counts?.completed ?? 0) > (batch.countsCompleted ?? 0)) {
    await tell(dependencies, { events: await noteAnswered(dependencies.database, batch, MOST_TOLD) });
  }
  return null;
}

/**
 * The batch as the vendor shows it. Null when the vendor has long not known it: nobody can tell whether it was answered and billed,
 * and its steps go to realtime, marked so. Until then its 404 is thrown like any failure: a rotated key or a list that lags must not have
 * a whole batch paid twice, and steps with a deadline escape meanwhile.
 */
export async function retrieveBatch(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
): Promise<ProviderBatch | null> {
  try {
    return await port.retrieve(batch.providerBatchId ?? '');
  } catch (error) {
    const isGone = error instanceof TerminalError && error.failure.httpStatus === 404;
    if (!isGone || !isLongMissed(dependencies, batch)) throw error;
    dependencies.onError(error);
    await giveBackAll(dependencies, batch, {
      reason: 'batch_lost',
      message: 'The provider does not know the batch any more.',
      maybeBilled: true,
      batchTakesMs: null,
    });
    await finishBatch(dependencies, port, batch, { outcome: 'failed' });
    return null;
  }
}

function isLongMissed({ now }: LaneDependencies, { tries, submittedAt, createdAt }: BatchRecord): boolean {
  return tries >= MOST_MISSES && now() >= (submittedAt ?? createdAt) + NOT_YET_MS;
}

async function cancelUnwanted(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
): Promise<{ cancelRequestedAt: number } | undefined> {
  // One that may be somebody else's is not ours to cancel.
  if (batch.cancelRequestedAt !== null || batch.providerBatchId === null || !batch.certain) return undefined;
  if (await isBatchWanted(dependencies.database, batch.id)) return undefined;
  try {
    await port.cancel(batch.providerBatchId);
  } catch (error) {
    // It is asked for again at the next look; the batch ends in any case.
    if (!(error instanceof RetryableError) && !(error instanceof TerminalError)) throw error;
    dependencies.onError(error);
    return undefined;
  }
  dependencies.log.info(
    { batch: batch.id, target: batch.target },
    'a batch in which nothing is wanted was cancelled',
  );
  return { cancelRequestedAt: dependencies.now() };
}

/** How a batch ended; null while it has not. */
export function outcomeOf(phase: BatchPhase): BatchOutcome | null {
  switch (phase) {
    case 'completed':
    case 'failed':
    case 'expired':
    case 'cancelled':
      return phase;
    case 'validating':
    case 'in_progress':
    case 'finalizing':
    case 'cancelling':
      return null;
  }
}
