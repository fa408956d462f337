import { readLines } from './jsonl.ts';
import type {
  ProviderAccepted,
  ProviderBatch,
  ProviderCall,
  ProviderEnded,
  ProviderNote,
} from './journals.ts';

/** Every request that the provider has seen, each with its end, in the order of arrival. */
export function readProviderCalls(path: string): ProviderCall[] {
  const entries = readLines<ProviderAccepted | ProviderEnded>(path);
  const ends = new Map<number, ProviderEnded>();
  for (const entry of entries) if (entry.event === 'ended') ends.set(entry.sequence, entry);
  return entries.flatMap((entry) =>
    entry.event === 'accepted'
      ? [{ ...entry, end: ends.get(entry.sequence) ?? null, step: taggedStep(entry.stepId) }]
      : [],
  );
}

type ProviderEntry = ProviderAccepted | ProviderEnded | ProviderNote;

/** Every batch that the provider has created, in that order. */
export function readProviderBatches(path: string): ProviderBatch[] {
  return joinProviderBatches(readLines<ProviderEntry>(path));
}

/** As {@link readProviderBatches}, from the journal's entries. */
export function joinProviderBatches(entries: readonly ProviderEntry[]): ProviderBatch[] {
  const lines = new Map<string, string>();
  for (const entry of entries)
    if (entry.event === 'batch.read') lines.set(entry.batchId, entry.customIdsSha256);
  return entries.flatMap((entry, place) => {
    if (entry.event !== 'batch.created') return [];
    const { batchId, at, account, contentSha256 } = entry;
    const customIdsSha256 = lines.get(batchId) ?? null;
    const createFault = findCreateFault(entries, place, account);
    return [{ batchId, at, account, contentSha256, customIdsSha256, createFault }];
  });
}

/** A note does not say which request it comes from: it is one that was under way at its place in the journal. */
function findCreateFault(entries: readonly ProviderEntry[], place: number, account: string): string | null {
  const underWay = new Set(
    entries.slice(0, place).flatMap((entry) => {
      const isCreation =
        entry.event === 'accepted' &&
        entry.account === account &&
        entry.method === 'POST' &&
        entry.path.endsWith('/batches');
      return isCreation ? [entry.sequence] : [];
    }),
  );
  for (const entry of entries.slice(0, place)) if (entry.event === 'ended') underWay.delete(entry.sequence);
  const faults = entries
    .slice(place)
    .flatMap((entry) => (entry.event === 'ended' && underWay.has(entry.sequence) ? [entry.fault] : []));
  return faults.find((fault) => fault !== null) ?? null;
}

function taggedStep(tag: string | null): string | null {
  return /^(job_[^/]+\/.+)#\d+$/.exec(tag ?? '')?.[1] ?? null;
}

/** The job and step that a call was tagged with (`job/step#fence`); null for calls that name none. */
export function readTag(call: ProviderCall): { jobId: string; key: string; fence: number } | null {
  const match = /^(job_[^/]+)\/(.+)#(\d+)$/.exec(call.stepId ?? '');
  if (!match) return null;
  const [, jobId = '', key = '', fence = ''] = match;
  return { jobId, key, fence: Number(fence) };
}
