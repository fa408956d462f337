import { haveSameLines } from '../checker/check-batches.ts';
import { createApiReader } from '../observer/api-reader.ts';
import type { Evidence, JobRecord } from '../observer/evidence.ts';
import { readLines } from '../observer/jsonl.ts';
import type { ClientEntry, ProviderBatch, ProviderCall, SinkEntry } from '../observer/journals.ts';
import { readProviderBatches, readProviderCalls, readTag } from '../observer/provider-journal.ts';
import type { ChaosStack } from './start-chaos-stack.ts';

/** Waits until a run is over, `limitMs` at most, and joins all that the witnesses know of it. */
export async function gatherEvidence(
  stack: ChaosStack,
  run: string,
  options: {
    limitMs: number;
    expectsWebhooks: boolean;
    liveText: Evidence['liveText'];
    events?: boolean;
    /** Whether every line of a provider batch since the run began must be one of the run's. */
    ownsBatches?: boolean;
  },
): Promise<Evidence> {
  const reader = createApiReader({ url: stack.apiUrl, key: stack.bootstrapKey });
  const jobs = await reader.recordsOf(run, options.limitMs, { events: options.events ?? true });
  const client = readLines<ClientEntry>(stack.journals.client).filter((entry) => entry.run === run);
  const ids = new Set([
    ...jobs.map(({ job }) => job.id),
    ...client.flatMap((entry) => ('jobId' in entry ? [entry.jobId] : [])),
  ]);
  const startedAt = Math.min(...client.map((entry) => Date.parse(entry.at)));
  const provider = ownCalls(stack, jobs, ids, options.ownsBatches === true ? startedAt : Infinity);
  return {
    run,
    client,
    sink: readLines<SinkEntry>(stack.journals.sink).filter(
      (entry) => entry.jobId !== null && ids.has(entry.jobId),
    ),
    provider,
    batches: ownBatches(stack, provider),
    faults: stack.faultLog.entries().filter((fault) => Date.parse(fault.endAt) >= startedAt - 60_000),
    jobs,
    leaks: findLeaks(stack, startedAt),
    expectsWebhooks: options.expectsWebhooks,
    liveText: options.liveText,
  };
}

/** Of every prompt and of every answer that the campaigns write; what they submit has no other texts. */
const texts = { 'a prompt': '[[sim:', 'an answer': 'in some more words than one' };
const SHOWN_CHARACTERS = 160;

function findLeaks(stack: ChaosStack, since: number): Evidence['leaks'] {
  const keys = {
    "the tenant's key": stack.bootstrapKey,
    "another tenant's key": stack.strangersKey,
    "a provider's key": 'sk-chaos-',
  };
  const wanted = Object.entries({ ...texts, ...keys });
  return stack.logsSince(since).flatMap((line) => {
    const found = wanted.find(([, text]) => line.includes(text));
    return found ? [{ secret: found[0], line: line.slice(0, SHOWN_CHARACTERS) }] : [];
  });
}

/** Calls that name a job of the run, lines that an attempt of it names, and on demand every line since the run began. */
function ownCalls(
  stack: ChaosStack,
  jobs: readonly JobRecord[],
  ids: ReadonlySet<string>,
  linesSince: number,
): ProviderCall[] {
  const lines = new Map(
    jobs.flatMap(({ job, steps }) =>
      steps.flatMap((step) =>
        step.attempts.map((attempt) => [attempt.request_tag, `${job.id}/${step.key}`] as const),
      ),
    ),
  );
  return readProviderCalls(stack.journals.provider).flatMap((call) => {
    if (call.batchId === null) return ids.has(readTag(call)?.jobId ?? '') ? [call] : [];
    const step = lines.get(call.stepId ?? '') ?? null;
    return step !== null || Date.parse(call.at) >= linesSince ? [{ ...call, step }] : [];
  });
}

/** The batches of these lines, and those that were created with the same lines. */
function ownBatches(stack: ChaosStack, calls: readonly ProviderCall[]): ProviderBatch[] {
  const ids = new Set(calls.flatMap(({ batchId }) => (batchId === null ? [] : [batchId])));
  const all = readProviderBatches(stack.journals.provider);
  const own = all.filter(({ batchId }) => ids.has(batchId));
  return all.filter((batch) => own.some((each) => haveSameLines(each, batch)));
}
