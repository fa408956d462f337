import { expect, it } from 'vitest';
import { parseRetryAfterMs } from './retry-after.ts';

const now = Date.parse('2026-11-20T10:00:00Z');

it.each([
  ['120', 120_000],
  [' 0 ', 0],
  ['Fri, 20 Nov 2026 10:00:30 GMT', 30_000],
  ['Fri, 20 Nov 2026 09:00:00 GMT', 0],
  ['soon', null],
  ['-5', null],
  ['99999999999', null],
  [undefined, null],
])('reads Retry-After %s', (header, expected) => {
  expect(parseRetryAfterMs(header, now)).toBe(expected);
});
