import { splitTarget } from '@millrace/calls';
import { countOpenLines, noteBatch } from '@millrace/ledger';
import type { BatchRecord, KnownDurations } from '@millrace/ledger';
import type { BatchPort } from '@millrace/providers';
import { ClaimLost } from './claim-lost.ts';
import { escapeWholeBatch } from './escape.ts';
import { finishBatch } from './finish-batch.ts';
import { isLongOver } from './is-long-over.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { note } from './note.ts';
import { outcomeOf, pollBatch, retrieveBatch } from './poll-batch.ts';
import { readBatch } from './read-batch.ts';
import { giveBackAll } from './release.ts';
import { postpone, submitBatch } from './submit-batch.ts';

const WITHOUT_PORT_MS = 60_000;
/** About ten minutes of failures in a row. */
const MOST_FAILURES = 10;

/**
 * Carries a claimed batch one step on: submits, looks, reads. Never throws: after a failure the batch is looked at again
 * later, and a lost claim means that somebody else does.
 */
export async function advanceBatch(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  context: { durations: KnownDurations; signal: AbortSignal },
): Promise<void> {
  try {
    const port = dependencies.ports.get(splitTarget(batch.target).provider);
    if (!port) return await holdOut(dependencies, batch);
    await carryOn(dependencies, port, batch, context);
  } catch (error) {
    if (error instanceof ClaimLost) return;
    await handBack(dependencies, batch, error, context.signal);
  }
}

/**
 * The provider's key is missing here. What was never sent is given back. The rest may be answered when the key is back: steps
 * with a deadline escape meanwhile, and all when the vendor must long have ended the batch.
 */
async function holdOut(dependencies: LaneDependencies, batch: BatchRecord): Promise<void> {
  const isUnsent = batch.status === 'gathering' || (batch.status === 'submitting' && batch.phase === null);
  if (isUnsent) {
    const message = 'The provider is not configured any more.';
    const unsent = { reason: 'no_batch_api', message, maybeBilled: false, batchTakesMs: null };
    await giveBackAll(dependencies, batch, unsent);
    return finishBatch(dependencies, null, batch, { outcome: 'abandoned' });
  }
  if (isLongOver(dependencies, batch)) {
    await escapeWholeBatch(dependencies, batch.id, 'batch_stuck');
  }
  await note(dependencies, batch, { wakeInMs: WITHOUT_PORT_MS });
}

async function carryOn(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  context: { durations: KnownDurations; signal: AbortSignal },
): Promise<void> {
  switch (batch.status) {
    case 'gathering':
      // Whoever gathered it has died: what is bound is submitted.
      if ((await countOpenLines(dependencies.database, batch.id)) === 0) {
        return finishBatch(dependencies, port, batch, { outcome: 'abandoned' });
      }
      await note(dependencies, batch, { status: 'submitting', wakeInMs: 0 });
      return;
    case 'submitting':
      return submitBatch(dependencies, port, batch, context.signal);
    case 'running': {
      const shown = await pollBatch(dependencies, port, batch);
      if (shown) await readBatch(dependencies, port, { ...batch, tries: 0 }, shown, context);
      return;
    }
    case 'reading': {
      const shown = await retrieveBatch(dependencies, port, batch);
      if (!shown) return;
      if (outcomeOf(shown.phase) === null) throw new Error(`${batch.id} has ended and goes on`);
      await readBatch(dependencies, port, batch, shown, context);
      return;
    }
    case 'ended':
      return;
  }
}

async function handBack(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (signal.aborted) {
      if (signal.reason instanceof ClaimLost) return;
      await noteBatch(dependencies.database, batch, { wakeInMs: 0 });
      return;
    }
    dependencies.onError(error);
    const isSent = batch.status === 'running' || batch.status === 'reading' || batch.phase !== null;
    // The vendor may not have let us look for all that time (a key that was revoked): nobody waits for that without end.
    if (isSent && batch.tries >= MOST_FAILURES && isLongOver(dependencies, batch)) {
      await escapeWholeBatch(dependencies, batch.id, 'batch_stuck');
    }
    await postpone(dependencies, batch, error);
  } catch (second) {
    // The claim runs out by itself.
    if (!(second instanceof ClaimLost)) dependencies.onError(second);
  }
}
