import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where processes of a stack stop, told to the build in which crash points can be ordered. */
export interface CrashOrders {
  /** What the stack's environment needs. */
  environment: Record<string, string>;
  /** The process that passes this point for the n-th time from now on stands still there, until it is killed. */
  halt(point: string, passing: number): void;
  /** Whether the last order has been carried out. */
  hasLanded(): boolean;
  remove(): void;
}

/** Orders in a directory of their own; crash points are inert until one is given. */
export function openCrashOrders(): CrashOrders {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
  let given = 0;
  return {
    environment: { NODE_OPTIONS: '--conditions=millrace-chaos', CHAOS_DIRECTORY: directory },
    halt(point, passing) {
      given += 1;
      const crash = { id: String(given), point, passing, about: null, signal: 'SIGSTOP' };
      writeFileSync(join(directory, 'next.json'), JSON.stringify({ crash, defects: [] }));
      renameSync(join(directory, 'next.json'), join(directory, 'orders.json'));
    },
    hasLanded() {
      try {
        const lines = readFileSync(join(directory, 'landed.jsonl'), 'utf8').trim().split('\n');
        return lines.some((line) => (JSON.parse(line) as { id: string }).id === String(given));
      } catch {
        return false;
      }
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}
