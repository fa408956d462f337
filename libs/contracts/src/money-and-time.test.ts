import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDeadlineAt, parseDurationMs } from './duration.ts';
import { comparePositions, parseSequenceNumber, toSequenceNumber } from './events.ts';
import { createId, isId } from './ids.ts';
import { canonicalJson } from './json.ts';
import type { Json } from './json.ts';
import { formatUsd, parseUsd } from './money.ts';

describe('money', () => {
  it('is shown with four digits at least and six at most, and reads back exactly', () => {
    expect(formatUsd(0)).toBe('0.0000');
    expect(formatUsd(500_000)).toBe('0.5000');
    expect(formatUsd(12_345_678)).toBe('12.345678');
    fc.assert(fc.property(fc.nat(1e12), (amount) => parseUsd(formatUsd(amount)) === amount));
  });
  it.each(['', '-1', '1e3', '0.1234567', '1,5', ' 1'])('refuses %j', (text) => {
    expect(parseUsd(text)).toBeNull();
  });
});

describe('durations and deadlines', () => {
  it('adds the parts of a duration', () => {
    expect(parseDurationMs('1h30m')).toBe(5_400_000);
    expect(parseDurationMs('250ms')).toBe(250);
  });
  it.each(['', '5', '0s', '1 h', '1y', '-5s'])('refuses %j as a duration', (text) => {
    expect(parseDurationMs(text)).toBeNull();
  });
  it('takes an instant with its offset, and nothing that only looks like a date', () => {
    expect(parseDeadlineAt('2026-11-21T10:00:00+01:00', 0)).toBe(Date.UTC(2026, 10, 21, 9));
    expect(parseDeadlineAt('2h', 1_000)).toBe(7_201_000);
    expect(parseDeadlineAt('2026-11-21', 0)).toBeNull();
    expect(parseDeadlineAt('tomorrow', 0)).toBeNull();
  });
});

describe('ids', () => {
  it('sort by the time of their making and know their kind', () => {
    const [early, late] = [createId('job', 1_000), createId('job', 1_001)];
    expect(early < late).toBe(true);
    expect(isId('job', early)).toBe(true);
    expect(isId('delivery', early)).toBe(false);
  });
});

describe('canonical JSON', () => {
  it('is the same for objects that differ in the order of their members only', () => {
    const shuffle = (value: Json): Json =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, member]) => [key, shuffle(member)]),
          )
        : value;
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(shuffle(value as Json))).toBe(canonicalJson(value as Json));
        expect(JSON.parse(canonicalJson(value as Json))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('positions in an event stream', () => {
  const position = fc.record({ sequence: fc.nat(1_000_000), delta: fc.nat(999_999_999) });
  it('become numbers that keep their order, and come back', () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        expect(parseSequenceNumber(String(toSequenceNumber(a)))).toEqual(a);
        expect(Math.sign(toSequenceNumber(a) - toSequenceNumber(b))).toBe(Math.sign(comparePositions(a, b)));
      }),
    );
  });
});
