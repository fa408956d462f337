import { splitTarget } from '@millrace/calls';
import { countOpenLines, noteBatch } from '@millrace/ledger';
import type { BatchRecord, KnownDurations } from '@millrace/ledger';
import type { BatchPort } from '@millrace/providers';
import { ClaimLost } from './claim-lost.ts';
import { finishBatch } from './finish-batch.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { note } from './note.ts';
import { outcomeOf, pollBatch, retrieveBatch } from './poll-batch.ts';
import { readBatch } from './read-batch.ts';
import { postpone, submitBatch } from './submit-batch.ts';

const WITHOUT_PORT_MS = 60_000;

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
    if (!port) {
      // The provider's key is missing here; steps with a deadline escape.
      await note(dependencies, batch, { wakeInMs: WITHOUT_PORT_MS });
      return;
    }
    await carryOn(dependencies, port, batch, context);
  } catch (error) {
    if (error instanceof ClaimLost) return;
    await handBack(dependencies, batch, error, context.signal);
  }
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
    await postpone(dependencies, batch, error);
  } catch (second) {
    // The claim runs out by itself.
    if (!(second instanceof ClaimLost)) dependencies.onError(second);
  }
}
