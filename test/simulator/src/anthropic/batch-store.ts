import { rmSync } from 'node:fs';
import type { RunningBatch } from '../batches/batch-runner.ts';
import { usdText } from '../billing/bill.ts';
import type { Simulator } from '../simulator.ts';
import { advanceBatch } from './advance-batch.ts';
import { statusOf, type MessageBatch } from './batch-record.ts';

export interface MessageBatchStore {
  add(batch: MessageBatch): void;
  /** Where it is by now. */
  find(account: string, id: string): Promise<MessageBatch | null>;
  /** Newest first. */
  list(account: string): readonly MessageBatch[];
  remove(batch: MessageBatch): void;
}

/** The message batches of all accounts. */
export function createMessageBatchStore(simulator: Simulator): MessageBatchStore {
  const batches = new Map<string, MessageBatch>();
  return {
    add(batch) {
      batches.set(batch.id, batch);
      simulator.batches.add(runningBatch(simulator, batch));
    },
    async find(account, id) {
      const batch = batches.get(id);
      if (batch === undefined || batch.account !== account) return null;
      await simulator.batches.touch(id);
      return batch;
    },
    list: (account) => [...batches.values()].filter((batch) => batch.account === account).reverse(),
    remove(batch) {
      batches.delete(batch.id);
      simulator.batches.remove(batch.id);
      rmSync(batch.results.path, { force: true });
      simulator.journal.note({ event: 'batch.deleted', account: batch.account, batchId: batch.id });
    },
  };
}

function runningBatch(simulator: Simulator, batch: MessageBatch): RunningBatch {
  return {
    id: batch.id,
    account: batch.account,
    advance: () => advanceBatch(simulator, batch),
    ended: () => batch.endedAtMs !== null,
    release() {
      batch.lines?.close();
      batch.results.close();
    },
    describe: () => ({
      id: batch.id,
      dialect: 'anthropic',
      account: batch.account,
      status: statusOf(batch),
      model: batch.model,
      requests: batch.requests,
      results: batch.counts,
      metadata: null,
      faults: batch.plan.faults.map((fault) => fault.kind),
      billed_usd: usdText(batch.nanoUsd),
    }),
  };
}
