import type { JobError, Json } from '@millrace/contracts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import type { AttemptEnd, NextState, StepOutcome } from '../steps/step-outcome.ts';

type Claim = Pick<ClaimedStep, 'jobId' | 'key' | 'fence'>;

/** The outcome of a claim. */
export function outcome(step: Claim, next: NextState, attempt: AttemptEnd | null = null): StepOutcome {
  const { jobId, key, fence } = step;
  return { jobId, key, fence, next, attempt, retried: null };
}

/** The end of an attempt; by itself a good one that billed nothing. */
export function attemptEnd(number: number, change: Partial<AttemptEnd> = {}): AttemptEnd {
  return {
    number,
    status: 'completed',
    target: 'openai/any',
    firstTokenAt: null,
    providerRequestId: null,
    httpStatus: 200,
    error: null,
    ambiguous: false,
    usage: null,
    ...change,
  };
}

/** What a call billed. */
export function billed(costMicroUsd: number, tokens = 10): NonNullable<AttemptEnd['usage']> {
  return {
    inputTokens: tokens,
    cachedInputTokens: 1,
    cacheWriteTokens: 2,
    outputTokens: tokens * 2,
    reasoningTokens: 3,
    costMicroUsd,
    priceKnown: true,
    estimated: false,
    serviceTier: null,
  };
}

export const completed = (output: Json = 'an answer'): NextState => ({ status: 'completed', output });

export const failed = (error: JobError = stepError): NextState => ({ status: 'failed', error });

export const held = (error: JobError = stepError): NextState => ({ status: 'held', error });

/** The step is tried again. */
export const pending = (change: Partial<Extract<NextState, { status: 'pending' }>> = {}): NextState => ({
  status: 'pending',
  delayMs: 0,
  move: null,
  repair: null,
  countsAttempt: true,
  ...change,
});

const stepError: JobError = { code: 'provider_bad_answer', message: 'it failed' };
