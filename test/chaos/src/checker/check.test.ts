import { expect, it } from 'vitest';
import type { Evidence } from '../observer/evidence.ts';
import { check } from './check.ts';
import { landedFault, providerBatch, providerCall, soundEvidence } from './sound-evidence.ts';
import type { Mutable } from './sound-evidence.ts';

type Spoil = (evidence: Mutable<Evidence>) => void;

function found(spoil: Spoil): string[] {
  const evidence = soundEvidence();
  spoil(evidence);
  return [...new Set(check(evidence).map(({ invariant }) => invariant))];
}

it('finds nothing in a run in which everything is as it must be', () => {
  expect(check(soundEvidence())).toEqual([]);
});

const mistakes: [string, string, Spoil][] = [
  ['I11', 'a text is in a log', (run) => (run.leaks = [{ secret: 'a text', line: 'worker-1 {"msg":"…"}' }])],
  ['I1', 'an acknowledged job is not there', (run) => (run.jobs = [])],
  ['I1', 'a job has not ended', (run) => (run.jobs[0]!.job.status = 'in_progress')],
  ['I1', 'a job ended otherwise than it must', (run) => (run.jobs[0]!.job.status = 'failed')],
  ['I1', 'a job has the answer of another one', (run) => (run.jobs[0]!.job.output = 'other')],
  ['I1', 'a terminal event is missing', (run) => run.jobs[0]!.events.pop()],
  [
    'I1',
    'there are two terminal events',
    (run) => run.jobs[0]!.events.push({ ...run.jobs[0]!.events.at(-1)!, id: 8 }),
  ],
  [
    'I1',
    'an end that somebody saw was rewritten',
    (run) =>
      run.client.push({
        kind: 'seen',
        at: '',
        run: 'run',
        jobId: 'job_1',
        status: 'cancelled',
        output: null,
      }),
  ],
  [
    'I1',
    'the API refused a job',
    (run) =>
      run.client.push(
        { kind: 'fail', at: '', run: 'run', key: 'other', try: 1, status: 422, code: 'validation_failed' },
        { kind: 'gave-up', at: '', run: 'run', key: 'other', tries: 1, last: 'status 422' },
      ),
  ],
  [
    'I1',
    'the API answered nobody until their patience was over, and the client broke off',
    (run) => {
      run.client = run.client.filter(({ kind }) => kind === 'probe');
      run.client.push({ kind: 'unknown', at: '', run: 'run', key: 'key', try: 9, why: 'TimeoutError' });
      run.jobs = [];
      run.sink = [];
      run.provider = [];
    },
  ],
  [
    'I1',
    'the API did not take a job again that it had accepted',
    (run) =>
      run.client.push({ kind: 'gave-up', at: '', run: 'run', key: 'key', tries: 80, last: 'status 503' }),
  ],
  [
    'I2',
    'a key was answered with two jobs',
    (run) =>
      run.client.push({
        kind: 'ok',
        at: '',
        run: 'run',
        key: 'key',
        try: 2,
        status: 202,
        jobId: 'job_2',
        replayed: false,
      }),
  ],
  [
    'I2',
    'a key stands for two jobs',
    (run) => run.jobs.push({ ...run.jobs[0]!, job: { ...run.jobs[0]!.job, id: 'job_2' } }),
  ],
  ['I3', 'a step was paid twice without a mark', (run) => run.provider.push(providerCall(3, 'first', 3))],
  [
    'I3',
    'a step was paid twice, marked, and nothing explains it',
    (run) => {
      run.provider.push(providerCall(3, 'first', 3));
      run.jobs[0]!.steps[0]!.ambiguous = true;
    },
  ],
  [
    'I3',
    'a step was paid twice, marked, and a fault that cannot lose its answer landed',
    (run) => {
      paidTwice(run);
      run.faults.push(landedFault({ target: 'redis', kind: 'redis.flushall' }));
    },
  ],
  [
    'I3',
    "a step was paid twice, marked, and another provider's network broke",
    (run) => {
      paidTwice(run);
      const detail = { account: 'another account' };
      run.faults.push(landedFault({ target: 'provider', kind: 'provider.network-cut', detail }));
    },
  ],
  [
    'I3',
    'a step was paid twice, marked, and a worker died before its first call and after its last',
    (run) => {
      paidTwice(run);
      const before = { startAt: '2026-11-21T11:59:50.000Z', endAt: '2026-11-21T11:59:50.000Z' };
      const after = { startAt: '2026-11-21T12:00:04.000Z', endAt: '2026-11-21T12:00:04.000Z' };
      run.faults.push(landedFault({ run: 'another', ...before }), landedFault({ run: 'another', ...after }));
    },
  ],
  [
    'I3',
    'a step was paid three times, and only one of the answers was spoiled by its provider',
    (run) => {
      calledBefore(run, 0, 'failed');
      calledBefore(run, 1, 'failed');
      run.provider[0]!.end!.fault = 'empty_output';
    },
  ],
  [
    'I3',
    'a step was paid twice, and its last answer alone was spoiled by its provider',
    (run) => {
      calledBefore(run, 1, 'failed');
      run.provider[1]!.end!.fault = 'wrong_usage';
    },
  ],
  [
    'I3',
    'a step is completed that the provider never completed',
    (run) => (run.provider[0]!.end!.finished = false),
  ],
  [
    'I3',
    'a call was sent that the ledger does not know',
    (run) => run.provider.push({ ...providerCall(3, 'first', 3, 7), end: null }),
  ],
  [
    'I3',
    'a call was made for a step that does not exist',
    (run) => run.provider.push(providerCall(3, 'third', 3)),
  ],
  [
    'I4',
    'a step was finished by a worker that no longer held it',
    (run) => run.provider.push({ ...providerCall(3, 'second', 4, 2), end: null }),
  ],
  [
    'I4',
    'a step was completed twice',
    (run) => run.jobs[0]!.events.splice(2, 0, { ...run.jobs[0]!.events[2]!, id: 3 }),
  ],
  [
    'I4',
    'a completed step is not on record as such',
    (run) => (run.jobs[0]!.events = run.jobs[0]!.events.filter(({ id }) => id !== 4)),
  ],
  [
    'I5',
    'an attempt has other tokens than the provider counted',
    (run) => (run.jobs[0]!.steps[0]!.attempts[0]!.input_tokens = 11),
  ],
  [
    'I5',
    'the usage of a job is not the sum of its attempts',
    (run) => (run.jobs[0]!.job.usage.output_tokens = 9),
  ],
  [
    'I5',
    'a call that was ended on its way is booked as free',
    (run) => {
      run.provider.push(providerCall(3, 'first', 3, 2));
      const [attempt] = run.jobs[0]!.steps[0]!.attempts;
      run.jobs[0]!.steps[0]!.attempts.push({
        ...attempt!,
        number: 2,
        status: 'cancelled',
        request_tag: 'job_1/first#2',
        input_tokens: 0,
        output_tokens: 0,
      });
    },
  ],
  [
    'I7',
    'a call came before Retry-After had passed',
    (run) => {
      Object.assign(run.provider[0]!.end!, { status: 429, fault: 'rate_limit', finished: true });
      run.jobs[0]!.steps[1]!.attempts[0]!.sent_at = run.provider[1]!.at;
      run.faults.push(landedFault({ target: 'provider', detail: { retryAfterMs: 4_000 } }));
    },
  ],
  [
    'I7',
    'an empty account was asked again and again',
    (run) => {
      for (const call of run.provider) Object.assign(call.end!, { status: 429, fault: 'insufficient_quota' });
      run.provider.push({
        ...structuredClone(run.provider[1]!),
        sequence: 3,
        at: '2026-11-21T12:00:08.000Z',
      });
      run.faults.push(
        landedFault({ target: 'provider', endAt: '2026-11-21T12:00:10.000Z', detail: { probeMs: 60_000 } }),
      );
    },
  ],
  [
    'I8',
    'a provider that was down was asked more than it may be',
    (run) => {
      run.provider.push(providerCall(3, 'first', 3, 2), providerCall(4, 'first', 4, 3));
      const detail = { probes: 0, account: 'account' };
      run.faults.push(
        landedFault({
          target: 'provider',
          startAt: '2026-11-21T12:00:00.000Z',
          endAt: '2026-11-21T12:00:10.000Z',
          detail,
        }),
      );
    },
  ],
  ['I9', 'a webhook has no valid signature', (run) => (run.sink[0]!.verified = false)],
  ['I9', 'a webhook is called delivered and never came', (run) => (run.sink = [])],
  ['I9', 'no webhook tells of the end', (run) => (run.jobs[0]!.deliveries = [])],
  ['I9', 'a webhook comes under another id', (run) => (run.sink[0]!.webhookId = 'evt_2')],
  [
    'I9',
    'a delivery is neither taken nor given up',
    (run) => (run.jobs[0]!.deliveries[0]!.status = 'pending'),
  ],
  [
    'I9',
    'a delivery was given up although its receiver was up',
    (run) => {
      run.jobs[0]!.deliveries[0]!.status = 'exhausted';
      run.sink = [];
    },
  ],
  [
    'I9',
    'a delivery was given up that its receiver had taken',
    (run) => (run.jobs[0]!.deliveries[0]!.status = 'exhausted'),
  ],
  [
    'I9',
    'a delivery was given up before its receiver had refused it ten times',
    (run) => {
      run.jobs[0]!.deliveries[0]!.status = 'exhausted';
      run.sink = Array.from({ length: 9 }, () => ({ ...run.sink[0]!, answered: 500 }));
    },
  ],
  [
    'I9',
    'the second try of a webhook has another id',
    (run) => {
      Object.assign(run.sink[0]!, { answered: 500 });
      run.sink.push({ ...run.sink[0]!, webhookId: 'evt_2', answered: 204 });
    },
  ],
  [
    'I9',
    'a delivery is called delivered, and only another receiver took its event',
    (run) => {
      const [delivery] = run.jobs[0]!.deliveries;
      run.jobs[0]!.deliveries.push({
        ...delivery!,
        id: 'whk_2',
        endpoint_id: null,
        url: 'http://127.0.0.1:1/flaky',
      });
      run.sink.push({ ...run.sink[0]!, path: '/flaky', answered: 500 });
    },
  ],
  [
    'I10',
    'an event was never streamed',
    (run) => (run.client = run.client.filter((entry) => !('id' in entry && entry.id === 4))),
  ],
  ['I10', 'an event was streamed twice', (run) => run.client.splice(6, 0, run.client[6]!)],
  [
    'I10',
    'an event was streamed that is not on record',
    (run) => (run.jobs[0]!.events = run.jobs[0]!.events.filter(({ id }) => id !== 4)),
  ],
  [
    'I10',
    'the text that was shown is not the output',
    (run) =>
      (run.client = run.client.filter(
        (entry) => !('id' in entry && entry.id === 5) || Object.assign(entry, { text: 'sec' }),
      )),
  ],
  [
    'I10',
    'no text of a step was streamed',
    (run) => (run.client = run.client.filter((entry) => !('id' in entry && entry.id === 5))),
  ],
  [
    'I11',
    'another tenant could read a job',
    (run) =>
      run.client.push({ kind: 'probe', at: '', run: 'run', jobId: 'job_1', request: 'GET', status: 200 }),
  ],
  [
    'I12',
    'work went on too late after a fault',
    (run) =>
      run.faults.push(
        landedFault({ startAt: '2026-11-21T11:59:30.000Z', endAt: '2026-11-21T11:59:30.000Z' }),
      ),
  ],
  [
    'I15',
    'a step is a line of two provider batches',
    (run) => {
      const line = { method: 'BATCH', stepId: 'job_1/first#1' };
      run.provider.push(
        { ...providerCall(3, 'first', 2), ...line, batchId: 'batch_1' },
        { ...providerCall(4, 'first', 2), ...line, batchId: 'batch_2' },
      );
    },
  ],
  [
    'I15',
    'a marked step is a line of two provider batches, and only the scheduler died',
    (run) => {
      twoBatches(run);
      run.faults.push(landedFault({ target: 'scheduler', phase: 'batch.after-create' }));
    },
  ],
  [
    'I15',
    'a provider batch was created twice, and its steps are marked',
    (run) => {
      twoBatches(run);
      run.batches = [providerBatch('batch_1'), providerBatch('batch_2')];
      run.faults.push(landedFault({ target: 'provider', kind: 'provider.batch_stuck' }));
    },
  ],
  [
    'I15',
    'a provider batch was created twice, and the second was never read',
    (run) => (run.batches = [providerBatch('batch_1'), providerBatch('batch_2', { customIdsSha256: null })]),
  ],
  [
    'I15',
    'an answered line counts as lost, and what broke cannot have lost it',
    (run) => {
      run.provider[0] = { ...run.provider[0]!, method: 'BATCH', batchId: 'batch_1' };
      run.jobs[0]!.steps[0]!.ambiguous = true;
      run.jobs[0]!.steps[0]!.attempts[0]!.status = 'ambiguous';
      run.faults.push(
        landedFault({ target: 'redis', kind: 'redis.kill' }),
        landedFault({ target: 'provider', run: 'another' }),
      );
    },
  ],
  [
    'I15',
    'an answered line was lost',
    (run) => {
      run.provider[0] = { ...run.provider[0]!, method: 'BATCH', batchId: 'batch_1' };
      run.jobs[0]!.steps[0]!.attempts[0]!.status = 'interrupted';
    },
  ],
  [
    'I15',
    'an answered line counts as lost, and no fault explains it',
    (run) => {
      run.provider[0] = { ...run.provider[0]!, method: 'BATCH', batchId: 'batch_1' };
      run.jobs[0]!.steps[0]!.ambiguous = true;
      run.jobs[0]!.steps[0]!.attempts[0]!.status = 'ambiguous';
    },
  ],
  [
    'I15',
    'a refused line counts as lost, and only its refusal could explain it',
    (run) => {
      const refused = { ...run.provider[0]!.end!, finished: false, status: 400, fault: 'bad_request' };
      run.provider[0] = { ...run.provider[0]!, method: 'BATCH', batchId: 'batch_1', end: refused };
      run.jobs[0]!.steps[0]!.ambiguous = true;
      run.jobs[0]!.steps[0]!.attempts[0]!.status = 'ambiguous';
    },
  ],
  [
    'I15',
    'a batch has a line that nobody knows',
    (run) =>
      run.provider.push({ ...providerCall(3, 'first', 2), method: 'BATCH', batchId: 'batch_1', step: null }),
  ],
];

/** The first step, marked: its first call's answer was lost between the seconds 0 and 2. */
function paidTwice(run: Mutable<Evidence>): void {
  calledBefore(run, 0, 'ambiguous');
  run.jobs[0]!.steps[0]!.ambiguous = true;
}

/** The first step was called in this second, too, and the provider completed it. */
function calledBefore(run: Mutable<Evidence>, second: number, status: string): void {
  const [step] = run.jobs[0]!.steps;
  const fence = 10 + second;
  run.provider.unshift(providerCall(fence, 'first', second, fence));
  // The later claim has the higher fence.
  const last = run.provider.find((call) => call.sequence === 1);
  const accepted = step!.attempts.find((attempt) => attempt.number === 1 || attempt.number === 20);
  Object.assign(last!, { stepId: 'job_1/first#20' });
  Object.assign(accepted!, { number: 20, request_tag: 'job_1/first#20' });
  step!.attempts.unshift({
    ...accepted!,
    number: fence,
    status,
    request_tag: `job_1/first#${fence}`,
    input_tokens: 0,
    output_tokens: 0,
  });
}

/** The first step, marked, is a line of two batches and both are answered. */
function twoBatches(run: Mutable<Evidence>): void {
  paidTwice(run);
  Object.assign(run.provider[0]!, { method: 'BATCH', batchId: 'batch_1' });
  Object.assign(run.provider[1]!, { method: 'BATCH', batchId: 'batch_2' });
  // Lines have no live text.
  run.client = run.client.filter((entry) => !('id' in entry && entry.id === 3));
}

it.each(mistakes)('sees by %s that %s', (invariant, _what, spoil) => {
  expect(found(spoil)).toContain(invariant);
});

const excuses: [string, Spoil][] = [
  [
    'a second payment of a step that is marked, while its worker died',
    (run) => {
      paidTwice(run);
      run.faults.push(landedFault({ run: 'another', ...atOnce('2026-11-21T12:00:01.500Z') }));
    },
  ],
  [
    'a second payment of a step that is marked, while its worker stood still',
    (run) => {
      paidTwice(run);
      run.faults.push(landedFault({ startAt: '2026-11-21T11:59:50.000Z' }));
    },
  ],
  [
    'a second payment of a step that is marked, while its worker was ending',
    (run) => {
      paidTwice(run);
      const detail = { lingersMs: 5_000 };
      run.faults.push(landedFault({ kind: 'SIGTERM', detail, ...atOnce('2026-11-21T11:59:57.000Z') }));
    },
  ],
  [
    "a second payment of a step that is marked, while its provider's network broke",
    (run) => {
      paidTwice(run);
      const detail = { account: 'account' };
      run.faults.push(landedFault({ target: 'provider', kind: 'provider.network-cut', detail }));
    },
  ],
  [
    'a further call whose answer its provider spoiled',
    (run) => {
      calledBefore(run, 1, 'failed');
      run.provider[0]!.end!.fault = 'empty_output';
    },
  ],
  [
    'a delivery that was given up because its receiver refused it ten times',
    (run) => {
      run.jobs[0]!.deliveries[0]!.status = 'exhausted';
      run.sink = Array.from({ length: 10 }, () => ({ ...run.sink[0]!, answered: 500 }));
    },
  ],
  [
    'a webhook that its receiver took at the second try, beside another receiver of the same event',
    (run) => {
      const [delivery] = run.jobs[0]!.deliveries;
      run.jobs[0]!.deliveries.push({
        ...delivery!,
        id: 'whk_2',
        endpoint_id: null,
        url: 'http://127.0.0.1:1/flaky',
      });
      const flaky = { ...run.sink[0]!, path: '/flaky' };
      run.sink.push({ ...flaky, answered: 500 }, flaky);
    },
  ],
  [
    'a line of two batches that is marked, the first of which the provider withheld',
    (run) => {
      twoBatches(run);
      run.batches = [
        providerBatch('batch_1'),
        providerBatch('batch_2', { contentSha256: 'other', customIdsSha256: 'others' }),
      ];
      run.faults.push(landedFault({ target: 'provider', kind: 'provider.batch_output_missing' }));
    },
  ],
  [
    'a batch that was created twice because its provider did not say that it had taken the first',
    (run) => {
      run.batches = [providerBatch('batch_1', { createFault: 'lost_response' }), providerBatch('batch_2')];
    },
  ],
];

it.each(excuses)('accepts %s', (_what, change) => {
  expect(found(change)).toEqual([]);
});

function atOnce(at: string): { startAt: string; endAt: string } {
  return { startAt: at, endAt: at };
}

it('judges the return of the API by requests that waited for it', () => {
  const late = {
    kind: 'ok',
    at: '2026-11-21T12:00:09.000Z',
    run: 'run',
    key: 'key',
    try: 1,
    status: 202,
    jobId: 'job_1',
    replayed: false,
  } as const;
  const fault = landedFault({
    target: 'api',
    startAt: '2026-11-21T12:00:00.500Z',
    endAt: '2026-11-21T12:00:00.500Z',
  });
  expect(
    found((run) => {
      run.client.push({ ...late, try: 2, replayed: true });
      run.faults.push(fault);
    }),
  ).toEqual([]);
  expect(
    found((run) => {
      run.client[1] = late;
      run.faults.push(fault);
    }),
  ).toEqual(['I12']);
});

it('takes a fault that did not land for no explanation', () => {
  expect(
    found((run) => {
      run.provider.unshift(providerCall(3, 'first', 1, 1));
      run.jobs[0]!.steps[0]!.ambiguous = true;
      run.faults.push(landedFault({ landed: false }));
    }),
  ).toContain('I3');
});
