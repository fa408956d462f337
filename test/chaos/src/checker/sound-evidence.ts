import type { ApiStep, Evidence, JobRecord } from '../observer/evidence.ts';
import type { ClientEntry, FaultEntry, ProviderBatch, ProviderCall } from '../observer/journals.ts';

/** What can be changed, so that tests can plant a mistake anywhere. */
export type Mutable<Value> = Value extends (...parameters: never[]) => unknown
  ? Value
  : Value extends object
    ? { -readonly [Key in keyof Value]: Mutable<Value[Key]> }
    : Value;

const at = (second: number): string => new Date(Date.UTC(2026, 10, 21, 12, 0, second)).toISOString();
const jobId = 'job_1';

/** A run by hand in which everything is as it must be: a chain of two steps, followed with one cut, told to one webhook. */
export function soundEvidence(): Mutable<Evidence> {
  const evidence: Evidence = {
    run: 'run',
    client,
    sink: [
      {
        at: at(6),
        path: '/ok',
        webhookId: 'evt_1',
        verified: true,
        type: 'job.completed',
        jobId,
        jobStatus: 'completed',
        answered: 204,
      },
    ],
    provider: [providerCall(1, 'first', 2), providerCall(2, 'second', 4)],
    batches: [],
    faults: [],
    jobs: [record],
    leaks: [],
    expectsWebhooks: true,
    liveText: 'whole',
  };
  return structuredClone(evidence) as Mutable<Evidence>;
}

/** A call that the provider completed, one second after it came. */
export function providerCall(sequence: number, key: string, second: number, fence = 1): ProviderCall {
  return {
    sequence,
    at: at(second),
    account: 'account',
    method: 'POST',
    path: '/responses',
    model: 'gpt-6-luna',
    stepId: `${jobId}/${key}#${fence}`,
    step: `${jobId}/${key}`,
    batchId: null,
    end: {
      event: 'ended',
      sequence,
      at: at(second + 1),
      status: 200,
      inputTokens: 10,
      outputTokens: 5,
      bytesSent: 500,
      finished: true,
      aborted: false,
      fault: null,
    },
  };
}

/** A batch that the provider created; all that this makes have the same lines. */
export function providerBatch(batchId: string, change: Partial<ProviderBatch> = {}): ProviderBatch {
  return {
    batchId,
    at: at(1),
    account: 'account',
    contentSha256: 'content',
    customIdsSha256: 'lines',
    createFault: null,
    ...change,
  };
}

/** A fault that landed on a worker in the second second. */
export function landedFault(change: Partial<FaultEntry> = {}): FaultEntry {
  return {
    id: 'fault',
    campaign: 'test',
    run: 'run',
    seed: 1,
    kind: 'crash',
    target: 'worker',
    phase: 'call.after-sent',
    startAt: at(2),
    endAt: at(2),
    landed: true,
    ...change,
  };
}

const client: ClientEntry[] = [
  {
    kind: 'invoke',
    at: at(0),
    run: 'run',
    key: 'key',
    try: 1,
    expect: { statuses: ['completed'], output: 'second text' },
    bodySha256: 'hash',
  },
  { kind: 'ok', at: at(0), run: 'run', key: 'key', try: 1, status: 202, jobId, replayed: false },
  { kind: 'connected', at: at(0), run: 'run', jobId, connection: 1, after: 0 },
  ...[
    [1, 'job.queued', null, null],
    [2, 'step.started', 'first', null],
    [3, 'step.delta', 'first', 'first text'],
    [4, 'step.completed', 'first', null],
    [5, 'step.delta', 'second', 'second text'],
    [6, 'step.completed', 'second', null],
    [7, 'job.completed', null, null],
  ].map(
    ([id, type, step, text]) =>
      ({ kind: 'event', at: at(5), run: 'run', jobId, connection: 1, id, type, step, text }) as ClientEntry,
  ),
  { kind: 'seen', at: at(7), run: 'run', jobId, status: 'completed', output: 'second text' },
  { kind: 'probe', at: at(7), run: 'run', jobId, request: 'GET /v1/jobs/{id}', status: 404 },
];

function step(key: string, second: number): ApiStep {
  return {
    key,
    status: 'completed',
    lane: 'realtime',
    ambiguous: false,
    output: `${key} text`,
    finished_at: at(second),
    attempts: [
      {
        number: 1,
        target: 'openai/gpt-6-luna',
        status: 'completed',
        purpose: 'answer',
        request_tag: `${jobId}/${key}#1`,
        sent_at: at(second - 1),
        finished_at: at(second),
        input_tokens: 10,
        output_tokens: 5,
      },
    ],
  };
}

const record: JobRecord = {
  job: {
    id: jobId,
    status: 'completed',
    output: 'second text',
    error: null,
    usage: { input_tokens: 20, output_tokens: 10, calls: 2, ambiguous_calls: 0 },
    cost_usd: '0.01',
    metadata: { run: 'run', key: 'key' },
    created_at: at(0),
    finished_at: at(5),
  },
  steps: [step('first', 3), step('second', 5)],
  deliveries: [
    {
      id: 'whk_1',
      event_id: 'evt_1',
      event_type: 'job.completed',
      status: 'delivered',
      endpoint_id: 'whe_1',
      url: 'http://127.0.0.1:1/ok',
      tries: [{ number: 1, http_status: 204 }],
    },
  ],
  events: [
    { id: 1, type: 'job.queued', at: at(0), step: null, text: null },
    { id: 2, type: 'step.started', at: at(2), step: 'first', text: null },
    { id: 4, type: 'step.completed', at: at(3), step: 'first', text: null },
    { id: 6, type: 'step.completed', at: at(5), step: 'second', text: null },
    { id: 7, type: 'job.completed', at: at(5), step: null, text: null },
  ],
};
