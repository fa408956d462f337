import type { Happening } from '@millrace/calls';
import type { ErrorCode, TokenUsage } from '@millrace/contracts';
import { createLogger, createMetrics } from '@millrace/telemetry';
import type { Metrics } from '@millrace/telemetry';
import { expect, test } from 'vitest';
import type { CallReport } from './passage.ts';
import { createCallReporter } from './report-call.ts';

const step = {
  ...{ jobId: 'job', key: '0', tenantId: 'acme', pool: 'openai', target: 'openai/m', route: null },
  ...{ attempts: 0, repairs: 0, spentTargets: [], lostAnswer: false, createdAt: 0, request: {} },
};

/** Reports one call that was sent. */
function report(happening: Happening, attempt: object): Metrics {
  const metrics = createMetrics('worker');
  const log = createLogger({ app: 'worker', level: 'silent' });
  const one = {
    step,
    passage: {
      happening,
      attempt: { number: 1, ...attempt },
      sentAt: 0,
      firstTextAt: null,
      endedAt: 5,
      estimatedInputTokens: 120,
    },
    outcome: { kind: 'drop' },
    accepted: true,
    claimedAt: 0,
  };
  createCallReporter(log, metrics, (target) => target)(one as unknown as CallReport);
  return metrics;
}

const failed = (code: ErrorCode, httpStatus: number, kind: 'failed' | 'refused' = 'failed'): Metrics =>
  report({ kind, message: '', failure: { code, httpStatus }, retryAfterMs: null } as unknown as Happening, {
    ...{ status: 'failed', httpStatus, error: { code, message: '' }, usage: null },
  });

test.each([
  ['a 429 for the rate', failed('provider_rate_limited', 429), 1],
  ['a 503 that wants less', failed('provider_rate_limited', 503), 1],
  ['a 429 for an empty account', failed('provider_quota', 429, 'refused'), 0],
  ['a 429 of the flex tier', failed('provider_unavailable', 429), 0],
  ['a 503 of a provider in trouble', failed('provider_unavailable', 503), 0],
])('%s counts as a rate limit only where the book takes it for one', async (_, metrics, expected) => {
  const { values } = await metrics.providerRateLimits.get();
  expect(values.reduce((sum, { value }) => sum + value, 0)).toBe(expected);
});

const usage: TokenUsage = {
  ...{ inputTokens: 100, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 5, reasoningTokens: 0 },
};
const answered = (estimated: boolean): Metrics =>
  report(
    { kind: 'answered', output: 'yes' },
    {
      ...{ status: 'completed', httpStatus: 200, error: null },
      usage: { ...usage, costMicroUsd: 0, priceKnown: true, estimated, serviceTier: null },
    },
  );

test('the estimate of the input is held against what the provider counted, not against itself', async () => {
  const valueOf = async (metrics: Metrics, name: string): Promise<number | undefined> => {
    const { values } = await metrics.inputEstimates.get();
    return values.find((each) => each.metricName === `millrace_input_estimate_ratio_${name}`)?.value;
  };
  const told = answered(false);
  expect(await valueOf(told, 'sum')).toBe(1.2);
  expect(await valueOf(told, 'count')).toBe(1);
  expect(await valueOf(answered(true), 'count')).toBeUndefined();
});
