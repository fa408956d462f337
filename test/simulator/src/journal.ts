import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Note } from './journal-notes.ts';
import { parseJson } from './json-value.ts';
import type { Vendor } from './model-catalogue.ts';

/** Written when a request has been read whole and before anything is answered. */
export interface AcceptedEntry {
  readonly event: 'accepted';
  readonly sequence: number;
  /** RFC 3339, on the real clock. */
  readonly at: string;
  readonly account: string;
  readonly dialect: Vendor;
  readonly method: string;
  readonly path: string;
  readonly model: string | null;
  readonly bodySha256: string;
  readonly bodyBytes: number;
  /** `x-client-request-id`, or `metadata.millrace_step`, or a batch line's `custom_id`. */
  readonly stepId: string | null;
  readonly stream: boolean;
  /** The provider batch whose line this is. */
  readonly batchId: string | null;
}

/** Written when the answer is complete, just before its last byte leaves, or when it can no longer be. */
export interface EndedEntry {
  readonly event: 'ended';
  readonly sequence: number;
  readonly at: string;
  /** HTTP status sent; `null` when nothing was. */
  readonly status: number | null;
  /** Tokens charged to the token-per-minute limits. */
  readonly chargedTokens: number;
  readonly bytesSent: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  /** True only when the terminal event or the whole body was written. */
  readonly finished: boolean;
  /** The client went away first. */
  readonly aborted: boolean;
  /** The kind of the fault applied. */
  readonly fault: string | null;
}

/** A note on a file or a batch, numbered in one row with the requests. */
export type NotedEntry = Note & { readonly sequence: number; readonly at: string };

export type JournalEntry = AcceptedEntry | EndedEntry | NotedEntry;

/** One request with its end, if it has one yet. */
export interface JournalledCall extends AcceptedEntry {
  readonly end: EndedEntry | null;
}

export interface Journal {
  /** Numbers and writes the start of a request; gives its sequence number. */
  accept(entry: Omit<AcceptedEntry, 'event' | 'sequence' | 'at'>): number;
  end(entry: Omit<EndedEntry, 'event' | 'at'>): void;
  note(note: Note): void;
  /** The newest entries, oldest first, of those with a higher sequence. */
  entries(afterSequence?: number): readonly JournalEntry[];
  clear(): void;
  close(): void;
}

/**
 * An append-only JSONL file (when a path is given) and the newest entries in memory. Each line is handed to
 * the operating system by a synchronous write before the bytes that it speaks of are answered, so a kill of
 * this process loses no line of an answer that a client saw. It is not synced to disk: power loss is out of scope.
 */
export function createJournal(path: string | null, inMemory: () => number, realMs: () => number): Journal {
  // A restarted simulator carries the numbering of its file on, so that a sequence names one request in it.
  let lastSequence = path !== null && existsSync(path) ? highestSequence(readJournal(path)) : 0;
  const file = path === null ? null : openSync(path, 'a');
  let open = true;
  let kept: JournalEntry[] = [];

  function append(entry: JournalEntry): void {
    kept.push(entry);
    if (kept.length > inMemory() * 1.25) kept = kept.slice(-inMemory());
    if (file !== null && open) writeSync(file, `${JSON.stringify(entry)}\n`);
  }

  return {
    accept(entry) {
      lastSequence += 1;
      append({ event: 'accepted', sequence: lastSequence, at: new Date(realMs()).toISOString(), ...entry });
      return lastSequence;
    },
    end(entry) {
      append({ event: 'ended', at: new Date(realMs()).toISOString(), ...entry });
    },
    note(note) {
      lastSequence += 1;
      append({ ...note, sequence: lastSequence, at: new Date(realMs()).toISOString() });
    },
    entries: (afterSequence = 0) =>
      afterSequence === 0 ? [...kept] : kept.filter((entry) => entry.sequence > afterSequence),
    clear() {
      kept = [];
    },
    close() {
      if (file !== null && open) closeSync(file);
      open = false;
    },
  };
}

function highestSequence(entries: readonly JournalEntry[]): number {
  return entries.reduce((highest, entry) => Math.max(highest, entry.sequence), 0);
}

/** Puts each request and its end together, in the order of acceptance. */
export function joinJournal(entries: readonly JournalEntry[]): readonly JournalledCall[] {
  const ends = new Map<number, EndedEntry>();
  for (const entry of entries) if (entry.event === 'ended') ends.set(entry.sequence, entry);
  const calls: JournalledCall[] = [];
  for (const entry of entries) {
    if (entry.event === 'accepted') calls.push({ ...entry, end: ends.get(entry.sequence) ?? null });
  }
  return calls;
}

/** Reads a journal file; a last line that a kill cut short is left out. */
export function readJournal(path: string): readonly JournalEntry[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.map((line) => parseJson(line)).filter((entry) => entry !== undefined) as JournalEntry[];
}
