import type { CallFailure } from '@millrace/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideOutcome } from './decide-outcome.ts';
import type { Happening } from './happening.ts';
import type { Situation } from './situation.ts';

const policy = {
  maxAttemptsPerTarget: 4,
  maxAttempts: 10,
  maxRepairs: 2,
  baseDelayMs: 500,
  maxDelayMs: 30_000,
  maxRetryAfterMs: 60_000,
};

const situation = (more: Partial<Situation> = {}): Situation => ({
  attempts: 0,
  targetAttempts: 0,
  repairs: 0,
  lastFingerprint: null,
  ambiguousPolicy: 'retry',
  target: 'openai/gpt-6-luna',
  nextTarget: null,
  freeTarget: null,
  ...more,
});

const failure = (more: Partial<CallFailure> = {}): CallFailure => ({
  code: 'provider_unavailable',
  provider: 'openai',
  httpStatus: 503,
  providerCode: null,
  providerRequestId: 'req_1',
  usage: null,
  maybeBilled: false,
  scope: 'call',
  ...more,
});

const failed = (retryAfterMs: number | null = null, more: Partial<CallFailure> = {}): Happening => ({
  kind: 'failed',
  message: 'it broke',
  failure: failure(more),
  retryAfterMs,
});
const refused = (more: Partial<CallFailure>): Happening => ({
  kind: 'refused',
  message: 'refused',
  failure: failure({ httpStatus: 400, ...more }),
});
const decide = (happening: Happening, more: Partial<Situation> = {}, random = 0.5) =>
  decideOutcome(happening, situation(more), policy, random);

describe('an answer', () => {
  it('completes the step', () => {
    expect(decide({ kind: 'answered', output: 'text' })).toEqual({ kind: 'complete', output: 'text' });
  });

  const misfit: Happening = {
    kind: 'misfit',
    answer: '{',
    feedback: 'not JSON',
    fingerprint: 'f1',
    truncated: false,
  };
  it('keeps how sure the model was', () => {
    expect(decide({ kind: 'answered', output: 'text', meanLogprob: -0.2 })).toEqual({
      kind: 'complete',
      output: 'text',
      meanLogprob: -0.2,
    });
  });
  it('is not repaired where the step wants no repairs, and not more often than the policy allows', () => {
    const unrepaired = { kind: 'fail', error: { code: 'output_invalid' } };
    expect(decide({ ...misfit, maxRepairs: 0 })).toMatchObject(unrepaired);
    expect(decide({ ...misfit, maxRepairs: 1 })).toMatchObject({ kind: 'repair' });
    expect(decide({ ...misfit, maxRepairs: 9 }, { repairs: 2 })).toMatchObject(unrepaired);
  });
  it('that does not fit its schema is repaired with the error as feedback', () => {
    expect(decide(misfit)).toEqual({ kind: 'repair', answer: '{', feedback: 'not JSON', fingerprint: 'f1' });
  });
  it('that is wrong in the same way twice is not repaired again', () => {
    expect(decide(misfit, { repairs: 1, lastFingerprint: 'f1' })).toMatchObject({
      kind: 'fail',
      error: { code: 'output_invalid' },
    });
  });
  it('is repaired at most twice', () => {
    expect(decide(misfit, { repairs: 2, lastFingerprint: 'other' })).toMatchObject({ kind: 'fail' });
  });
  it('that was cut at the token limit fails at once, because a repair would be cut too', () => {
    expect(decide({ ...misfit, truncated: true })).toMatchObject({ error: { code: 'output_truncated' } });
  });
});

describe('a failure that may pass', () => {
  it('is tried again after a random part of a delay that doubles', () => {
    expect(decide(failed(), { targetAttempts: 2 }, 0.999)).toMatchObject({ kind: 'retry', delayMs: 1998 });
    expect(decide(failed(), {}, 0)).toMatchObject({ kind: 'retry', delayMs: 0 });
  });
  it('is never tried again before the time that the provider named', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (ms, random) => {
          const outcome = decide(failed(ms), {}, random);
          return outcome.kind === 'retry' && outcome.delayMs >= ms;
        },
      ),
    );
  });
  it('goes to the next target when the present one has used up its attempts', () => {
    expect(decide(failed(), { targetAttempts: 3, nextTarget: 'anthropic/x' })).toMatchObject({
      kind: 'fall_over',
      target: 'anthropic/x',
    });
  });
  it('stays with its target beyond that when there is no other, so that an outage is sat out', () => {
    expect(decide(failed(), { attempts: 5, targetAttempts: 5 })).toMatchObject({ kind: 'retry' });
  });
  it('ends the step when all attempts are used up, with the last error and its origin', () => {
    expect(decide(failed(), { attempts: 9, targetAttempts: 9 })).toMatchObject({
      kind: 'fail',
      error: { code: 'retries_exhausted', provider: { name: 'openai', status: 503, request_id: 'req_1' } },
    });
    expect(decide(failed(), { attempts: 9, targetAttempts: 0, nextTarget: 'anthropic/x' }).kind).toBe('fail');
  });
  it('with a long Retry-After parks the pool, and goes elsewhere if it can', () => {
    expect(decide(failed(120_000))).toMatchObject({ kind: 'retry', parkMs: 120_000 });
    expect(decide(failed(120_000), { nextTarget: 'anthropic/x' })).toMatchObject({
      kind: 'fall_over',
      parkMs: 120_000,
    });
  });
  it('parks the pool on every 429 that names a time', () => {
    const limited = failed(2_000, { code: 'provider_rate_limited', httpStatus: 429 });
    expect(decide(limited)).toMatchObject({ kind: 'retry', parkMs: 2_000 });
  });
});

describe('a refusal', () => {
  it('of the request ends the step, wherever else it could go', () => {
    const outcome = decide(refused({ code: 'provider_refused_request' }), { nextTarget: 'anthropic/x' });
    expect(outcome).toMatchObject({ kind: 'fail', error: { code: 'provider_refused_request' } });
  });
  it.each(['provider_quota', 'provider_auth'] as const)(
    'of the account (%s) is never tried again there',
    (code) => {
      expect(decide(refused({ code, scope: 'account' }))).toMatchObject({
        kind: 'fail',
        error: { code },
        parkMs: 60_000,
      });
      expect(decide(refused({ code, scope: 'account' }), { nextTarget: 'anthropic/x' })).toMatchObject({
        kind: 'fall_over',
        parkMs: 60_000,
      });
    },
  );
  it('for a prompt that is too long tries a target that may be larger', () => {
    const outcome = decide(refused({ code: 'context_length_exceeded' }), { nextTarget: 'anthropic/x' });
    expect(outcome.kind).toBe('fall_over');
  });
});

describe('a claim without an answer', () => {
  it('is held when the tenant wants to decide about lost answers', () => {
    expect(decide({ kind: 'lost_answer' }, { ambiguousPolicy: 'hold' })).toMatchObject({
      kind: 'hold',
      error: { code: 'ambiguous_refused' },
    });
  });
  it('that must wait or is stopped by a deploy uses up no attempt', () => {
    expect(decide({ kind: 'must_wait', delayMs: 800 })).toMatchObject({ countsAttempt: false, delayMs: 800 });
    expect(decide({ kind: 'aborted', reason: 'shutdown' })).toMatchObject({
      kind: 'retry',
      countsAttempt: false,
    });
  });
  it('of what a newer version asks for is left to the workers of that version, and uses up no attempt', () => {
    const newer: Happening = { kind: 'unreadable', isNewer: true, places: ['request.tools'] };
    const outcome = decide(newer);
    expect(outcome).toMatchObject({ kind: 'retry', countsAttempt: false });
    expect((outcome as { delayMs: number }).delayMs).toBeGreaterThanOrEqual(5_000);
    expect(decide({ ...newer, isNewer: false })).toMatchObject({
      kind: 'fail',
      error: { code: 'internal_error', message: 'The step cannot be read at request.tools.' },
    });
  });
  it('that would wait for long goes to another target, if the route has one', () => {
    const elsewhere = { nextTarget: 'anthropic/x', freeTarget: 'anthropic/x' };
    expect(decide({ kind: 'must_wait', delayMs: 30_000 }, elsewhere)).toMatchObject({
      kind: 'fall_over',
      countsAttempt: false,
      gaveUp: false,
    });
    expect(decide({ kind: 'must_wait', delayMs: 2_000 }, elsewhere)).toMatchObject({ kind: 'retry' });
    // Where the others must wait as well, going there helps nobody.
    expect(decide({ kind: 'must_wait', delayMs: 30_000 }, { nextTarget: 'anthropic/x' })).toMatchObject({
      kind: 'retry',
      delayMs: 30_000,
    });
  });
  it('whose target is known to be in trouble goes to a free one at once, or waits without an attempt', () => {
    const closed: Happening = { kind: 'closed', delayMs: 2_000 };
    const elsewhere = { nextTarget: 'anthropic/x', freeTarget: 'anthropic/x' };
    expect(decide(closed, elsewhere)).toMatchObject({
      kind: 'fall_over',
      target: 'anthropic/x',
      countsAttempt: false,
      gaveUp: false,
    });
    expect(decide(closed, { nextTarget: 'anthropic/x' })).toMatchObject({
      kind: 'retry',
      delayMs: 2_000,
      countsAttempt: false,
    });
  });
  it('to a route that is down does what the route says, unless a target works', () => {
    const closed: Happening = { kind: 'closed', delayMs: 2_000 };
    expect(decide(closed, { lastResort: { kind: 'fail' } })).toMatchObject({
      kind: 'fail',
      error: { code: 'providers_unavailable' },
    });
    expect(decide(closed, { lastResort: { kind: 'answer', output: 'old' } })).toEqual({
      kind: 'complete',
      output: 'old',
      degraded: 'stale',
    });
    const use = { kind: 'use', target: 'local/small' } as const;
    expect(decide(closed, { lastResort: use })).toMatchObject({
      kind: 'fall_over',
      target: 'local/small',
      countsAttempt: false,
      gaveUp: false,
      degraded: 'cheapest',
    });
    const works = { nextTarget: 'anthropic/x', freeTarget: 'anthropic/x' };
    const moved = decide(closed, { ...works, lastResort: { kind: 'fail' } });
    expect(moved).toMatchObject({ kind: 'fall_over', target: 'anthropic/x' });
    expect(moved).not.toHaveProperty('degraded');
    // A limit is no outage: the last resort is not for calls that only have to wait their turn.
    expect(decide({ kind: 'must_wait', delayMs: 60_000 }, { lastResort: use })).toMatchObject({
      kind: 'retry',
    });
  });
  it('to a route that is down waits while its deadline allows, and ends with an error that says why', () => {
    const closed: Happening = { kind: 'closed', delayMs: 15_000 };
    expect(decide(closed, { timeLeftMs: 60_000 })).toMatchObject({ kind: 'retry', delayMs: 15_000 });
    expect(decide(closed, { timeLeftMs: 10_000 })).toMatchObject({ kind: 'retry', delayMs: 9_000 });
    expect(decide(closed, { timeLeftMs: 500 })).toMatchObject({
      kind: 'fail',
      error: { code: 'providers_unavailable', message: expect.stringContaining('deadline') as string },
    });
    const works = { nextTarget: 'anthropic/x', freeTarget: 'anthropic/x', timeLeftMs: 500 };
    expect(decide(closed, works)).toMatchObject({ kind: 'fall_over' });
  });
  it('that no minute of its pool can hold goes elsewhere for good, or fails and says why', () => {
    const tooLarge: Happening = { kind: 'too_large', dimension: 'tokens', limit: 1_000, requested: 4_096 };
    expect(decide(tooLarge, { nextTarget: 'anthropic/x' })).toMatchObject({
      kind: 'fall_over',
      gaveUp: true,
    });
    expect(decide(tooLarge)).toMatchObject({
      kind: 'fail',
      error: { code: 'call_too_large', message: expect.stringContaining('4096 tokens') as string },
    });
    const message = (happening: Happening): string => {
      const outcome = decide(happening);
      return outcome.kind === 'fail' ? outcome.error.message : '';
    };
    expect(message(tooLarge)).toMatch(/may take 1000 per minute\.$/);
    expect(message({ ...tooLarge, isLearned: true })).toMatch(
      /may take 1000 per minute, as its provider has told for minutes\.$/,
    );
  });
  it('that was cancelled or taken over writes nothing about the step', () => {
    expect(decide({ kind: 'aborted', reason: 'cancelled' }).kind).toBe('drop');
    expect(decide({ kind: 'aborted', reason: 'lost' }).kind).toBe('drop');
  });
  it('that kills its worker each time is given up', () => {
    expect(decide({ kind: 'deadly' })).toMatchObject({ kind: 'fail', error: { code: 'worker_crashed' } });
  });
});
