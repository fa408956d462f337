import { setTimeout as delay } from 'node:timers/promises';
import { createId, comparePositions, isTerminalEvent } from '@millrace/contracts';
import type { EventPosition, StepDelta } from '@millrace/contracts';
import { acceptJobs, advanceJob, claimSteps, findEvents, markSent, recordOutcomes } from '@millrace/ledger';
import type { Database, NewStep, NextState } from '@millrace/ledger';
import type { LivePublisher } from '@millrace/transport';
import type { FollowedEvent } from '../follow-job.ts';
import { tenantId } from './results-setup.ts';

/** A job that exists in the ledger, driven by the test as workers would drive it. */
export interface ScriptedJob {
  id: string;
  /** Inserts the steps and starts the job. */
  start(keys: readonly string[], publisher: LivePublisher): Promise<void>;
  /** Claims a step and puts a call on record: from here on it has text. */
  send(key: string, publisher: LivePublisher): Promise<Attempt>;
  /** Writes the end of the job. */
  finish(publisher: LivePublisher): Promise<void>;
  /**
   * Everything that a follower has to get by now: the events of the ledger and what was appended, in order, without the
   * text of attempts that were given up, up to the terminal event.
   */
  record(): Promise<FollowedEvent[]>;
}

export interface Attempt {
  number: number;
  /** Appends text; `publisher` is another one than the attempt's own on request. */
  say(text: string): Promise<EventPosition>;
  complete(): Promise<void>;
  /** Gives the attempt up; the step may be sent again. */
  retry(): Promise<void>;
}

export async function acceptScriptedJob(database: Database): Promise<ScriptedJob> {
  const id = createId('job');
  const step = {
    kind: 'call',
    route: 'cheap',
    model: null,
    system: null,
    output: null,
    maxOutputTokens: 100,
  };
  const plan = { type: 'call', route: 'cheap', prompt: 'hello' };
  await acceptJobs(database, [
    {
      id,
      tenantId,
      apiKeyId: 'key',
      idempotencyKey: null,
      fingerprint: new Uint8Array(32),
      type: 'call',
      priority: 'standard',
      lane: 'realtime',
      content: { plan, input: undefined, params: {} },
      metadata: {},
      webhook: null,
      requestId: 'req',
      traceparent: null,
      deadlineAt: null,
      maxCostMicroUsd: null,
    },
  ]);
  const appended: Extract<FollowedEvent, { kind: 'delta' }>[] = [];

  async function record(
    key: string,
    fence: number,
    number: number,
    next: NextState,
    publisher: LivePublisher,
  ) {
    const attempt = {
      number,
      status: next.status === 'completed' ? ('completed' as const) : ('failed' as const),
      target: 'openai/tiny',
      firstTokenAt: null,
      providerRequestId: null,
      httpStatus: 200,
      error: null,
      usage: null,
      ambiguous: false,
    };
    const retried = next.status === 'pending' ? { reason: 'provider_unavailable', attempt: number } : null;
    const [result] = await recordOutcomes(database, [{ jobId: id, key, fence, next, attempt, retried }]);
    await publisher.publishEvents(result!.events);
  }

  return {
    id,
    async start(keys, publisher) {
      const steps = keys.map((key): NewStep => ({
        key,
        request: { ...step, kind: 'call', messages: [{ role: 'user', content: 'hello' }], stream: true },
        barrier: null,
        target: 'openai/tiny',
        pool: 'openai',
      }));
      const decision = { kind: 'wait' as const, steps, abandoned: [] };
      const { events } = await advanceJob(database, id, async () => decision);
      await publisher.publishEvents(events);
    },
    async send(key, publisher) {
      const [claimed] = await claimSteps(database, [{ jobId: id, key }], 'worker', 60_000);
      if (!claimed) throw new Error(`the step ${key} cannot be claimed`);
      const { fence } = claimed;
      const departure = {
        jobId: id,
        key,
        fence,
        owner: 'worker',
        target: 'openai/tiny',
        worstCaseMicroUsd: 0,
        lostAnswer: claimed.lostAnswer,
      };
      const [sent] = await markSent(database, [{ ...departure, purpose: 'answer' }]);
      const event = sent?.verdict === 'go' ? sent.events.at(-1) : undefined;
      if (sent?.verdict !== 'go' || !event) throw new Error(`the step ${key} cannot be sent`);
      void publisher.publishEvents(sent.events);
      let position: EventPosition = { sequence: event.sequence, delta: 0 };
      const number = sent.attempt;
      return {
        number,
        async say(text) {
          const delta: StepDelta = { step: key, attempt: number, text };
          position = await publisher.appendDelta(id, position, delta);
          appended.push({ position, kind: 'delta', delta });
          return position;
        },
        complete: () => record(key, fence, number, { status: 'completed', output: 'done' }, publisher),
        retry: () =>
          record(
            key,
            fence,
            number,
            { status: 'pending', delayMs: 0, move: null, repair: null, countsAttempt: true },
            publisher,
          ),
      };
    },
    async finish(publisher) {
      const ending = { kind: 'finish', status: 'completed', output: 'done', error: null } as const;
      const { events } = await advanceJob(database, id, async () => ending);
      await publisher.publishEvents(events);
    },
    async record() {
      const events = await findEvents(database, id, 0, 100_000);
      const all: FollowedEvent[] = [
        ...events.map((event): FollowedEvent => {
          return { position: { sequence: event.sequence, delta: 0 }, kind: 'event', event };
        }),
        ...appended,
      ].sort((a, b) => comparePositions(a.position, b.position));
      return withoutStaleText(all);
    },
  };
}

/** Written independently of the product's filter: text counts if its attempt is the one that was started last and goes on. */
function withoutStaleText(all: readonly FollowedEvent[]): FollowedEvent[] {
  const current = new Map<unknown, unknown>();
  const kept: FollowedEvent[] = [];
  for (const each of all) {
    if (each.kind === 'delta') {
      if (current.get(each.delta.step) === each.delta.attempt) kept.push(each);
      continue;
    }
    kept.push(each);
    const { type, data } = each.event;
    if (type === 'step.started') current.set(data['step'], data['attempt']);
    if (type === 'step.retried') current.set(data['step'], 'none');
    if (isTerminalEvent(type)) break;
  }
  return kept;
}

/** A repeatable source of randomness (mulberry32), so that a run that failed can be had again. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * Runs a job as two workers would: each sends its steps one after the other, with text at random moments, attempts that are
 * given up half way, and text of such attempts that comes too late.
 */
export async function runRandomly(
  job: ScriptedJob,
  publishers: readonly LivePublisher[],
  options: { random: () => number; stepsEach: number; deltasEach: number; pauseMs: number },
): Promise<void> {
  const { random } = options;
  const keys = publishers.map((_, worker) =>
    Array.from({ length: options.stepsEach }, (_unused, index) => `w${worker}[${index}]`),
  );
  await job.start(keys.flat(), publishers[0]!);
  await Promise.all(
    publishers.map(async (publisher, worker) => {
      for (const key of keys[worker]!) {
        const isGivenUp = random() < 0.4;
        const first = await job.send(key, publisher);
        await speak(first, isGivenUp ? options.deltasEach / 2 : options.deltasEach);
        if (!isGivenUp) {
          await first.complete();
          continue;
        }
        await first.retry();
        await first.say('too late');
        const second = await job.send(key, publisher);
        const late = first.say('far too late');
        await speak(second, options.deltasEach);
        await late;
        await second.complete();
      }
    }),
  );
  await job.finish(publishers[0]!);

  async function speak(attempt: Attempt, count: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      await attempt.say(`${attempt.number}.${index} `);
      await delay(random() * options.pauseMs);
    }
  }
}
