import { appendLine, readLines } from '../observer/jsonl.ts';
import type { FaultEntry } from '../observer/journals.ts';

/** The fourth journal: what was done to the product, when, and whether it landed. */
export interface FaultLog {
  note(entry: FaultEntry): void;
  entries(): FaultEntry[];
}

export function createFaultLog(path: string): FaultLog {
  return {
    note: (entry) => appendLine(path, entry),
    entries: () => readLines<FaultEntry>(path),
  };
}
