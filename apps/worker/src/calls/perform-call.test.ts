import type { PreparedCall } from '@millrace/calls';
import { RetryableError } from '@millrace/contracts';
import type { ClaimedStep } from '@millrace/ledger';
import { createOutputValidators } from '@millrace/plans';
import type { Provider, ProviderKind } from '@millrace/providers';
import { expect, test } from 'vitest';
import { performCall } from './perform-call.ts';
import { noTextStream } from './text-stream.ts';

const cut = new RetryableError(
  'cut',
  {
    ...{ code: 'provider_bad_answer', provider: 'openai', httpStatus: 200, providerCode: null },
    ...{ providerRequestId: null, maybeBilled: true, scope: 'call', usageEstimated: true },
    usage: {
      ...{ inputTokens: 100, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 5, reasoningTokens: 0 },
    },
  },
  null,
);

/** What a call costs whose answer is cut, at a provider whose flex tier has half the price. */
async function costOfCut(lane: ClaimedStep['lane'], kind: ProviderKind): Promise<number | undefined> {
  const provider = { name: 'p', kind, call: () => Promise.reject(cut) } as unknown as Provider;
  const price = (_: unknown, tier: string | null) => ({ microUsd: tier === 'flex' ? 5 : 10, known: true });
  const { judged } = await performCall({ provider, price } as unknown as PreparedCall, {
    step: { jobId: 'job', key: 's', target: 'p/m', lane, request: {} } as unknown as ClaimedStep,
    attempt: 1,
    signal: new AbortController().signal,
    text: noTextStream,
    validators: createOutputValidators({ maxEntries: 1 }),
    now: Date.now,
    monotonicNow: () => performance.now(),
    onLimits: () => undefined,
  });
  return judged.attempt.usage?.costMicroUsd;
}

test('a call of the flex tier that fails is priced at that tier, where the provider has one', async () => {
  expect(await costOfCut('flex', 'openai')).toBe(5);
  expect(await costOfCut('realtime', 'openai')).toBe(10);
  expect(await costOfCut('flex', 'anthropic')).toBe(10);
});
