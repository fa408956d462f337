import { RetryableError } from '@millrace/contracts';
import type { CallFailure } from '@millrace/contracts';
import { CallAborted } from '@millrace/providers';
import { expect, it } from 'vitest';
import { judgeError } from './judge-call.ts';
import type { CallContext } from './judge-call.ts';

const usage = {
  ...{ inputTokens: 100, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 5, reasoningTokens: 0 },
};
const context = {
  prepared: {
    price: (_: unknown, tier: string | null) => ({ microUsd: tier === 'flex' ? 5 : 10, known: true }),
  },
  ...{ step: { target: 'openai/m', request: {} }, attempt: 1, firstTextAt: null },
} as unknown as CallContext;

const failure = (change: Partial<CallFailure>): RetryableError =>
  new RetryableError(
    'cut',
    {
      ...{ code: 'provider_bad_answer', provider: 'openai', httpStatus: 200, providerCode: null },
      ...{ providerRequestId: null, usage, maybeBilled: true, scope: 'call' },
      ...change,
    },
    null,
  );

it('says of a call that failed whether its usage was told or counted', () => {
  const judge = (usageEstimated?: boolean) =>
    judgeError(context, failure(usageEstimated === undefined ? {} : { usageEstimated }), undefined).attempt;
  expect(judge(true)).toMatchObject({
    status: 'failed',
    ambiguous: true,
    usage: { ...usage, estimated: true },
  });
  expect(judge(false)).toMatchObject({
    status: 'failed',
    ambiguous: true,
    usage: { ...usage, estimated: false },
  });
  expect(judge().usage).toMatchObject({ estimated: false });
});

it('prices what a call used that failed or was ended at the tier that it was sent in', () => {
  const ended = new CallAborted(
    {
      ...{ provider: 'openai', maybeBilled: true, usage, usageEstimated: true, textLength: 20 },
      ...{ httpStatus: 200, providerRequestId: null },
    },
    'shutdown',
  );
  for (const error of [failure({}), ended]) {
    const cost = (tier: string | null) => judgeError(context, error, 'shutdown', tier).attempt.usage;
    expect(cost('flex')).toMatchObject({ costMicroUsd: 5, realtimeMicroUsd: 10, serviceTier: 'flex' });
    expect(cost(null)).toMatchObject({ costMicroUsd: 10, serviceTier: null });
  }
});
