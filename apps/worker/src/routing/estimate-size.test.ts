import type { PoolReading } from '@millrace/capacity';
import type { StepRequest } from '@millrace/contracts';
import { expect, it } from 'vitest';
import { estimateSize } from './estimate-size.ts';
import { expectedWaitMs } from './expected-wait.ts';

const request = {
  system: null,
  messages: [{ role: 'user', content: 'x'.repeat(400) }],
  maxOutputTokens: 4_000,
};

it('a backlog where output is counted as it is produced is as long as usual answers make it', () => {
  const waitMs = (usual: number | null): number => {
    const limit = { limit: 60_000, used: 60_000, outside: 0, free: 0 };
    const reading = { limits: { outputTokens: limit }, parkedMs: 0, fullest: 1, share: 1, concurrency: null };
    const size = estimateSize(request as unknown as StepRequest, 1_024, usual);
    return expectedWaitMs(reading as unknown as PoolReading, 10, size, { outputTokens: 60_000 });
  };
  expect(waitMs(null)).toBe(40_000);
  expect(waitMs(500)).toBe(5_000);
  expect(waitMs(9_000)).toBe(40_000);
});
