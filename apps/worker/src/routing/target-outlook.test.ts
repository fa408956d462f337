import type { BreakerState, PoolReading } from '@millrace/capacity';
import { waitFor } from '@millrace/test-support';
import { expect, it } from 'vitest';
import { expectedWaitMs } from './expected-wait.ts';
import { createTargetOutlook } from './target-outlook.ts';

const idle: PoolReading = {
  limits: {},
  underWay: 0,
  concurrency: null,
  meanHoldMs: null,
  parkedMs: 0,
  refusals: 0,
  high: false,
  fullest: 1,
  share: 1,
};
const use = (limit: number, outside = 0) => ({ limit, used: 0, outside, free: limit - outside });
const size = { inputTokens: 100, maxOutputTokens: 500 };

it('a wait is the backlog times what the scarcest limit gives to each call', () => {
  const limited = (limits: PoolReading['limits']): PoolReading => ({ ...idle, limits });
  const requests = limited({ requests: use(600) });
  expect(expectedWaitMs(requests, 50, size, { requests: 600 })).toBe(5_000);
  const both = limited({ requests: use(600), tokens: use(30_000) });
  // 500 of 30,000 tokens a minute are a second.
  expect(expectedWaitMs(both, 50, size, { requests: 600, tokens: 30_000 })).toBe(50_000);
  const shared = limited({ requests: use(600, 300) });
  expect(expectedWaitMs(shared, 50, size, { requests: 600 })).toBe(10_000);
});

it('a wait is the backlog over the places, where only calls at a time are limited', () => {
  const reading = { ...idle, concurrency: 4, meanHoldMs: 2_000 };
  expect(expectedWaitMs(reading, 10, size, { concurrency: 4 })).toBe(5_000);
});

it('nothing waits without a limit, but for a pause; and a quiet pool has a head start', () => {
  expect(expectedWaitMs(idle, 1_000, size, {})).toBe(0);
  expect(expectedWaitMs({ ...idle, parkedMs: 700 }, 1_000, size, {})).toBe(700);
  expect(expectedWaitMs(null, 1_000, size, { requests: 1 })).toBe(0);
  const quiet = { ...idle, fullest: 0, limits: { requests: use(600) } };
  expect(expectedWaitMs(quiet, 50, size, { requests: 600 })).toBe(0);
  expect(expectedWaitMs(quiet, 51, size, { requests: 600 })).toBe(100);
  expect(expectedWaitMs(quiet, 50, size, { requests: 600, burstMs: 1_000 })).toBe(4_000);
});

function outlookOf(given: { isReady?: boolean } = {}) {
  const state = { now: 0, backlog: 0, breaker: 'closed' as BreakerState, readings: 0, fails: false };
  const errors: unknown[] = [];
  const outlook = createTargetOutlook({
    targets: ['openai/a'],
    poolOf: () => 'openai',
    limitsOf: () => ({ requests: 60 }),
    readPool: async () => {
      state.readings += 1;
      if (state.fails) throw new Error('away');
      return { ...idle, limits: { requests: use(60) } };
    },
    measureBacklog: async () => state.backlog,
    breakerState: async () => state.breaker,
    isReady: () => given.isReady ?? true,
    onError: (error) => errors.push(error),
    now: () => state.now,
  });
  const look = () => outlook.look('openai/a', size);
  return { outlook, state, errors, look };
}

it('looks are answered at once from the last reading, which they renew', async () => {
  const { outlook, state, look } = outlookOf();
  expect(look()).toEqual({ breaker: 'closed', expectedWaitMs: 0 });
  state.backlog = 3;
  state.breaker = 'open';
  state.now = 300;
  await waitFor(() => (look(), (state.now += 300), look().breaker === 'open'), { what: 'a reading' });
  expect(look().expectedWaitMs).toBe(3_000);
  expect(outlook.look('openai/unknown', size).breaker).toBe('closed');
  const before = state.readings;
  look();
  look();
  expect(state.readings).toBeLessThanOrEqual(before + 1);
});

it('calls that are placed count at once, until they are read in the queue', async () => {
  const { outlook, state, look } = outlookOf();
  await outlook.start();
  await waitFor(() => state.readings === 1, { what: 'the first reading' });
  await waitFor(() => (outlook.notePlaced('openai'), look().expectedWaitMs > 0), { what: 'the view' });
  const waited = look().expectedWaitMs;
  outlook.notePlaced('openai');
  expect(look().expectedWaitMs).toBe(waited + 1_000);
  await outlook.stop();
});

it('without Redis everything is taken to be fine, and nothing is asked', async () => {
  const { outlook, state, look } = outlookOf({ isReady: false });
  state.breaker = 'open';
  await outlook.start();
  expect(look()).toEqual({ breaker: 'closed', expectedWaitMs: 0 });
  await outlook.stop();
  expect(state.readings).toBe(0);
});

it('a reading that fails is reported and leaves what was known', async () => {
  const { state, errors, look } = outlookOf();
  state.backlog = 3;
  await waitFor(() => ((state.now += 300), look().expectedWaitMs === 3_000), { what: 'a reading' });
  state.fails = true;
  await waitFor(() => ((state.now += 300), look(), errors.length > 0), { what: 'the failure' });
  expect(look().expectedWaitMs).toBe(3_000);
});
