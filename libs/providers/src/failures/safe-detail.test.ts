import { expect, test } from 'vitest';
import { safeDetail } from './safe-detail.ts';

const call = {
  model: 'm',
  system: null,
  messages: [{ role: 'user' as const, content: 'What carries the river to the wheel, please?' }],
  output: null,
  maxOutputTokens: 10,
  requestTag: 'job/step#1',
  timeoutMs: 1_000,
};

test('a cut through an emoji leaves no half of it, which PostgreSQL would refuse', () => {
  const detail = safeDetail(`${'y'.repeat(299)}😀 more`, call);
  expect(detail?.isWellFormed()).toBe(true);
});

test('keys are removed, and words that quote the prompt are not repeated', () => {
  expect(safeDetail('Incorrect API key provided: sk-abcdef1234567890', call)).not.toContain('abcdef');
  expect(safeDetail('Bad input: What carries the river to the wheel, please?', call)).toBeNull();
});
