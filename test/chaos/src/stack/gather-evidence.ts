import { createApiReader } from '../observer/api-reader.ts';
import type { Evidence } from '../observer/evidence.ts';
import { readLines } from '../observer/jsonl.ts';
import type { ClientEntry, SinkEntry } from '../observer/journals.ts';
import { readProviderCalls, readTag } from '../observer/provider-journal.ts';
import type { ChaosStack } from './start-chaos-stack.ts';

/** Waits until a run is over, `limitMs` at most, and joins all that the witnesses know of it. */
export async function gatherEvidence(
  stack: ChaosStack,
  run: string,
  options: { limitMs: number; expectsWebhooks: boolean; liveText: Evidence['liveText']; events?: boolean },
): Promise<Evidence> {
  const reader = createApiReader({ url: stack.apiUrl, key: stack.bootstrapKey });
  const jobs = await reader.recordsOf(run, options.limitMs, { events: options.events ?? true });
  const client = readLines<ClientEntry>(stack.journals.client).filter((entry) => entry.run === run);
  const ids = new Set([
    ...jobs.map(({ job }) => job.id),
    ...client.flatMap((entry) => ('jobId' in entry ? [entry.jobId] : [])),
  ]);
  const startedAt = Math.min(...client.map((entry) => Date.parse(entry.at)));
  return {
    run,
    client,
    sink: readLines<SinkEntry>(stack.journals.sink).filter(
      (entry) => entry.jobId !== null && ids.has(entry.jobId),
    ),
    provider: readProviderCalls(stack.journals.provider).filter((call) =>
      ids.has(readTag(call)?.jobId ?? ''),
    ),
    faults: stack.faultLog.entries().filter((fault) => Date.parse(fault.endAt) >= startedAt - 60_000),
    jobs,
    expectsWebhooks: options.expectsWebhooks,
    liveText: options.liveText,
  };
}
