import { expect, test } from 'vitest';
import { AnswerRecord } from './answer-record.ts';
import { readLogprobs } from './read-logprobs.ts';

test('log probabilities are read where a list of tokens has them, and nothing else is trusted', () => {
  expect(readLogprobs([{ token: 'a', logprob: -0.5, bytes: [97] }, { logprob: 0 }])).toEqual([-0.5, 0]);
  for (const nothing of [
    undefined,
    null,
    [],
    'x',
    [{ token: 'a' }],
    [{ logprob: 'high' }],
    [{ logprob: 3 }],
  ]) {
    expect(readLogprobs(nothing)).toEqual([]);
  }
});

test('an answer is as sure as its tokens are on average; without tokens nobody knows', () => {
  const record = new AnswerRecord(() => undefined);
  expect(record.meanLogprob).toBeNull();
  for (const logprob of [-1, -2, -6]) record.addLogprob(logprob);
  expect(record.meanLogprob).toBe(-3);
});
