import type { OpenClientBatch } from '@millrace/ledger';
import { HeldBack } from './hold-back.ts';
import { Interrupted } from './validate-batch.ts';

/** What moving many batches at a time needs. */
export interface BatchSlotsOptions {
  /** The batches for which something is to be done, in the order of their turns. */
  find: () => Promise<OpenClientBatch[]>;
  move: (batch: OpenClientBatch) => Promise<void>;
  mayGoOn: () => boolean;
  /** Hears of each move that failed, and after which time the batch is tried again. */
  onFailure: (batch: OpenClientBatch, error: unknown, retryMs: number) => void;
  /** In ms, never goes back. */
  now: () => number;
}

/** Batches that are moved side by side. */
export interface BatchSlots {
  /** Looks what is to be done, and begins as much of it as there are slots for; the rest begins as slots become free. */
  look(): Promise<void>;
  /** Resolves when nothing is under way. Nothing begins by itself meanwhile if `mayGoOn` says so. */
  settle(): Promise<void>;
}

/** Validating and expanding take processor time; more than these at once would only take turns. */
const QUICK_AT_ONCE = 4;
/** What takes longer than this is large, or waits for a store that is slow: it must not keep the small ones out. */
const SLOW_AFTER_MS = 2_000;
/** Each holds a line, what it knows of ids and now and then a connection; and one tenant's are not all that is under way. */
const MOST_AT_ONCE = 12;
/** With those of tenants that have nothing else under way: others' large batches must not keep them out. */
const MOST_OF_ALL = 40;
const MOST_OF_A_TENANT = 6;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** As often as the fleet's plan is made. */
const HELD_BACK_MS = 1_000;

/**
 * Moves batches, each by itself: one that is slow, stands still or fails holds up nobody else. A move has a quick slot for two
 * seconds and a slow one from then on; a batch that failed is tried again after a time that doubles, to half a minute.
 */
export function createBatchSlots({ find, move, mayGoOn, onFailure, now }: BatchSlotsOptions): BatchSlots {
  const underWay = new Map<string, { tenantId: string; isSlow: boolean; done: Promise<void> }>();
  const failures = new Map<string, { times: number; notBefore: number }>();
  let queue: OpenClientBatch[] = [];

  function fill(): void {
    if (!mayGoOn()) queue = [];
    const waiting: OpenClientBatch[] = [];
    for (const batch of queue) {
      const running = [...underWay.values()];
      const ofTenant = running.filter(({ tenantId }) => tenantId === batch.tenantId).length;
      const isFull =
        running.length >= (ofTenant === 0 ? MOST_OF_ALL : MOST_AT_ONCE) ||
        running.filter(({ isSlow }) => !isSlow).length >= QUICK_AT_ONCE;
      if (isFull || ofTenant >= MOST_OF_A_TENANT) waiting.push(batch);
      else begin(batch);
    }
    queue = waiting;
  }

  function begin(batch: OpenClientBatch): void {
    const slot = { tenantId: batch.tenantId, isSlow: false, done: Promise.resolve() };
    const slow = setTimeout(() => {
      slot.isSlow = true;
      fill();
    }, SLOW_AFTER_MS);
    underWay.set(batch.id, slot);
    slot.done = move(batch)
      .then(
        () => void failures.delete(batch.id),
        (error: unknown) => noteFailure(batch, error),
      )
      .finally(() => {
        clearTimeout(slow);
        underWay.delete(batch.id);
        fill();
      });
  }

  function noteFailure(batch: OpenClientBatch, error: unknown): void {
    if (error instanceof Interrupted) return;
    if (error instanceof HeldBack) {
      failures.set(batch.id, { times: 0, notBefore: now() + HELD_BACK_MS });
      return;
    }
    const times = (failures.get(batch.id)?.times ?? 0) + 1;
    const retryMs = Math.min(FIRST_RETRY_MS * 2 ** (times - 1), LONGEST_RETRY_MS);
    failures.set(batch.id, { times, notBefore: now() + retryMs });
    onFailure(batch, error, retryMs);
  }

  return {
    async look() {
      // What is under way while the ledger is read may be over afterwards, and what was read of it old.
      queue = [];
      const before = new Set(underWay.keys());
      const open = await find();
      for (const [id, { notBefore }] of failures) {
        if (notBefore + LONGEST_RETRY_MS < now()) failures.delete(id);
      }
      queue = open.filter(({ id }) => !before.has(id) && (failures.get(id)?.notBefore ?? 0) <= now());
      fill();
    },
    async settle() {
      while (underWay.size > 0) await Promise.all([...underWay.values()].map(({ done }) => done));
    },
  };
}
