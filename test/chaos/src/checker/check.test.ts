import { expect, it } from 'vitest';
import type { Evidence } from '../observer/evidence.ts';
import { check } from './check.ts';
import { landedFault, providerCall, soundEvidence } from './sound-evidence.ts';
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

it.each(mistakes)('sees by %s that %s', (invariant, _what, spoil) => {
  expect(found(spoil)).toContain(invariant);
});

it('accepts a second payment of a step that is marked and that a landed fault explains', () => {
  expect(
    found((run) => {
      run.provider.unshift(providerCall(3, 'first', 1, 0));
      run.jobs[0]!.steps[0]!.ambiguous = true;
      run.jobs[0]!.steps[0]!.attempts.unshift({
        ...run.jobs[0]!.steps[0]!.attempts[0]!,
        number: 0,
        status: 'ambiguous',
        request_tag: 'job_1/first#0',
        input_tokens: 0,
        output_tokens: 0,
      });
      run.faults.push(landedFault());
    }),
  ).toEqual([]);
});

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
