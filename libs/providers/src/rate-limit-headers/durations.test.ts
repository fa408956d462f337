import { expect, test } from 'vitest';
import { parseGoDurationMs, parseInstantMs } from './durations.ts';

test.each([
  ['20ms', 20],
  ['1s', 1000],
  ['6m0s', 360_000],
  ['1h2m3.5s', 3_723_500],
  ['8.64s', 8640],
  ['500us', 1],
  ['0', 0],
  ['', null],
  ['soon', null],
  ['12', null],
  ['-1s', null],
])('the Go duration %j is %j ms', (text, expected) => {
  expect(parseGoDurationMs(text)).toBe(expected);
});

test('an instant is counted from now, never below 0', () => {
  const now = Date.parse('2026-11-21T10:00:00Z');
  expect(parseInstantMs('2026-11-21T10:00:01.5Z', now)).toBe(1500);
  expect(parseInstantMs('2026-11-21T09:59:00Z', now)).toBe(0);
  expect(parseInstantMs('tomorrow', now)).toBeNull();
});
