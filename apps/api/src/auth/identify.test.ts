import { LedgerUnavailable } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import { expect, test } from 'vitest';
import { createIdentify } from './identify.ts';

const keyNumber = (number: number): string => `mr_${String(number).padStart(12, '0')}_${'a'.repeat(40)}`;

/** A ledger without any keys that counts how often it is asked. */
function emptyLedger(): Queryable & { asked: number; away: boolean } {
  return {
    asked: 0,
    away: false,
    async query<Row>(): Promise<Row[]> {
      this.asked += 1;
      if (this.away) throw new LedgerUnavailable(new Error('away'));
      return [];
    },
  };
}

test('many requests with one key that is looked up share the look', async () => {
  const ledger = emptyLedger();
  const identify = createIdentify(ledger);
  await Promise.all(Array.from({ length: 50 }, () => identify(keyNumber(1))));
  expect(ledger.asked).toBe(1);
});

test('an answer is remembered for less than two seconds', async () => {
  const ledger = emptyLedger();
  let now = 0;
  const identify = createIdentify(ledger, () => now);
  await identify(keyNumber(1));
  now = 1_400;
  await identify(keyNumber(1));
  expect(ledger.asked).toBe(1);
  now = 1_999;
  await identify(keyNumber(1));
  expect(ledger.asked).toBe(2);
});

test('a ledger that is away is not remembered', async () => {
  const ledger = emptyLedger();
  const identify = createIdentify(ledger);
  ledger.away = true;
  await expect(identify(keyNumber(1))).rejects.toBeInstanceOf(LedgerUnavailable);
  ledger.away = false;
  expect(await identify(keyNumber(1))).toBeNull();
});

test('a malformed key is never looked up, and the memory for keys has a bound', async () => {
  const ledger = emptyLedger();
  const identify = createIdentify(ledger, () => 0);
  await identify('mr_x_y');
  expect(ledger.asked).toBe(0);
  for (let number = 0; number <= 10_000; number += 1) await identify(keyNumber(number));
  const asked = ledger.asked;
  await identify(keyNumber(10_000));
  expect(ledger.asked).toBe(asked);
  await identify(keyNumber(0));
  expect(ledger.asked).toBe(asked + 1);
});
