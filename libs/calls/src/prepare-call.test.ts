import type { ClaimedStep } from '@millrace/ledger';
import { loadPriceCatalogue } from '@millrace/providers';
import type { Provider, ProviderKind } from '@millrace/providers';
import { expect, it } from 'vitest';
import { prepareCall } from './prepare-call.ts';

const kinds: ProviderKind[] = ['openai', 'anthropic', 'openai_compatible'];
const options = {
  providers: new Map(kinds.map((kind) => [kind, { name: kind, kind } as unknown as Provider])),
  catalogue: loadPriceCatalogue(),
  ...{ defaultMaxOutputTokens: 4_096, callTimeoutMs: 60_000 },
  now: () => Date.parse('2026-11-21T10:00:00Z'),
};
const prepare = (target: string, request: Partial<ClaimedStep['request']>) =>
  prepareCall(
    {
      ...{ jobId: 'job', key: 's', fence: 1, target, lane: 'realtime', repair: null, deadlineAt: null },
      request: { system: null, messages: [{ role: 'user', content: 'p' }], output: null, ...request },
    } as unknown as ClaimedStep,
    options,
  )!;

it('says what is charged: at OpenAI the least size of an output, elsewhere and for vectors what was asked for', () => {
  const embedding = { dimensions: null, encoding: 'base64' as const, single: true };
  const charged = (target: string, request: Partial<ClaimedStep['request']>) =>
    prepare(target, request).chargedOutputTokens;
  expect(charged('openai/gpt-6.2-astra', { maxOutputTokens: 1 })).toBe(16);
  expect(charged('openai/gpt-6.2-astra', { maxOutputTokens: 17 })).toBe(17);
  expect(charged('openai/gpt-6.2-astra', {})).toBe(4_096);
  expect(charged('openai/text-embedding-3-small', { embedding })).toBe(0);
  expect(charged('anthropic/claude-opus-5-5', { maxOutputTokens: 1 })).toBe(1);
  expect(charged('openai_compatible/any', { maxOutputTokens: 1 })).toBe(1);
});

it('prices at OpenAI the output that is sent, which has a least size', () => {
  const worstCaseOf = (maxOutputTokens: number) =>
    prepare('openai/gpt-6.2-astra', { maxOutputTokens }).worstCaseMicroUsd!;
  expect(worstCaseOf(1)).toBe(worstCaseOf(16));
  expect(worstCaseOf(1)).toBeLessThan(worstCaseOf(17));
});

it('prices elsewhere what was asked for', () => {
  const worstCaseOf = (maxOutputTokens: number) =>
    prepare('anthropic/claude-opus-5-5', { maxOutputTokens }).worstCaseMicroUsd!;
  expect(worstCaseOf(1)).toBeLessThan(worstCaseOf(16));
});
