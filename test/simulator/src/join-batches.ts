import type { JournalEntry, NotedEntry } from './journal.ts';

type NoteOf<Event extends NotedEntry['event']> = Extract<NotedEntry, { readonly event: Event }>;

/** One provider batch as the journal tells of it. */
export interface JournalledBatch {
  readonly created: NoteOf<'batch.created'>;
  /** `null`: its input was not read (yet). */
  readonly read: NoteOf<'batch.read'> | null;
  /** Every line that was answered, refused, left or given up, in that order; several of one id tell of a defect here. */
  readonly lines: readonly NoteOf<'line.ended'>[];
  readonly ended: NoteOf<'batch.ended'> | null;
  readonly statuses: readonly string[];
}

/** Puts together what the journal says of each batch, in the order of creation. */
export function joinBatches(entries: readonly JournalEntry[]): readonly JournalledBatch[] {
  const batches = new Map<
    string,
    JournalledBatch & { readonly lines: NoteOf<'line.ended'>[]; readonly statuses: string[] }
  >();
  for (const entry of entries) {
    if (entry.event === 'batch.created') {
      batches.set(entry.batchId, { created: entry, read: null, lines: [], ended: null, statuses: [] });
    }
    if (entry.event === 'accepted' || entry.event === 'ended' || !('batchId' in entry)) continue;
    const batch = batches.get(entry.batchId);
    if (batch === undefined) continue;
    if (entry.event === 'batch.read') batches.set(entry.batchId, { ...batch, read: entry });
    if (entry.event === 'batch.ended') batches.set(entry.batchId, { ...batch, ended: entry });
    if (entry.event === 'line.ended') batch.lines.push(entry);
    if (entry.event === 'batch.status') batch.statuses.push(entry.status);
  }
  return [...batches.values()];
}
