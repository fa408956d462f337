import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readLines } from '../observer/jsonl.ts';

/** A crash at the n-th passing of a named point that is about one submission. */
export interface CrashOrder {
  id: string;
  point: string;
  passing: number;
  /** The submission's idempotency key; null: whatever passes. */
  about: string | null;
  signal?: 'SIGKILL' | 'SIGSTOP' | 'BLOCK';
}

/** A crash that happened, as the dying process wrote it. */
interface LandedCrash {
  id: string;
  point: string;
  pid: number;
  about: string[];
  at: string;
}

/** Steers libs/faults of every process of a stack. */
export interface Orders {
  crash(order: CrashOrder | null): void;
  defects(names: readonly string[]): void;
  /** Waits until the ordered crash has landed; null if it has not within `timeoutMs`, or once `isOver` says that it cannot. */
  landed(id: string, timeoutMs: number, isOver?: () => boolean): Promise<LandedCrash | null>;
}

export function createOrders(directory: string): Orders {
  let crash: CrashOrder | null = null;
  let defects: readonly string[] = [];
  const write = (): void => {
    // Replaced as a whole: nobody must read half of it.
    writeFileSync(join(directory, 'orders.next'), JSON.stringify({ crash, defects }));
    renameSync(join(directory, 'orders.next'), join(directory, 'orders.json'));
  };
  write();
  return {
    crash(order) {
      crash = order;
      write();
    },
    defects(names) {
      defects = names;
      write();
    },
    async landed(id, timeoutMs, isOver = () => false) {
      const deadlineAt = performance.now() + timeoutMs;
      for (;;) {
        const late = performance.now() > deadlineAt || isOver();
        const found = readLines<LandedCrash>(join(directory, 'landed.jsonl')).find((each) => each.id === id);
        if (found) return found;
        if (late) return null;
        await pause(20);
      }
    },
  };
}
