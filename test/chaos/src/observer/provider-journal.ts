import { readLines } from './jsonl.ts';
import type { ProviderAccepted, ProviderCall, ProviderEnded } from './journals.ts';

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
