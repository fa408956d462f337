import { createId } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { jobCreatedAt } from './job-created-at.ts';

test.each([0, 1_790_000_000_123, 2 ** 48 - 1])('a job id tells when it was made: %i', (createdAt) => {
  expect(jobCreatedAt(createId('job', createdAt))).toBe(createdAt);
});

test('what is no job id tells nothing', () => {
  expect(jobCreatedAt('job_!')).toBeNull();
});
