import type { Service } from '@millrace/contracts';
import { claimBatches, renewBatchClaim } from '@millrace/ledger';
import type { BatchRecord, KnownDurations } from '@millrace/ledger';
import { advanceBatch } from './advance-batch.ts';
import { ClaimLost } from './claim-lost.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { LEASE_MS } from './lease.ts';

const RENEW_EVERY_MS = LEASE_MS / 3;
const AT_A_TIME = 6;

/** Claims batches that are due and carries them on, several at a time. */
export interface BatchRunner extends Service {
  /** Begins what is due as far as there are hands free; does not wait for it. */
  begin(): Promise<void>;
}

/** Stopping ends uploads and readings where they stand and waits for them; their batches are due again at once. */
export function createBatchRunner(dependencies: LaneDependencies, durations: KnownDurations): BatchRunner {
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  async function run(batch: BatchRecord): Promise<void> {
    const lost = new AbortController();
    const signal = AbortSignal.any([stopping.signal, lost.signal]);
    let heldUntil = dependencies.now() + LEASE_MS;
    const renewing = setInterval(() => {
      const asked = dependencies.now();
      // While the ledger is away others may claim the batch when the lease is over: work ends before that.
      if (asked + RENEW_EVERY_MS > heldUntil) return lost.abort(new ClaimLost(batch.id));
      renewBatchClaim(dependencies.database, batch, LEASE_MS).then((held) => {
        if (held) heldUntil = asked + LEASE_MS;
        else lost.abort(new ClaimLost(batch.id));
      }, dependencies.onError);
    }, RENEW_EVERY_MS);
    try {
      await advanceBatch(dependencies, batch, { durations, signal });
    } finally {
      clearInterval(renewing);
    }
  }

  return {
    name: 'batches',
    start: () => Promise.resolve(),
    async begin() {
      const free = AT_A_TIME - underWay.size;
      if (free <= 0 || stopping.signal.aborted) return;
      for (const batch of await claimBatches(dependencies.database, dependencies.holder, LEASE_MS, free)) {
        const task = run(batch)
          .catch(dependencies.onError)
          .finally(() => underWay.delete(task));
        underWay.add(task);
      }
    },
    async stop() {
      stopping.abort(new Error('the scheduler stops'));
      await Promise.all(underWay);
    },
  };
}
