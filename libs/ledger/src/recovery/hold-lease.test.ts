import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { holdLease, releaseLease } from './hold-lease.ts';

let own: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const hold = (name: string, holder: string) => holdLease(ledger.database, name, holder, 6_000);

describe('a lease', () => {
  it('has one holder, however many ask at once', async () => {
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, index) => hold(`lease ${round}`, `holder ${index}`)),
      );
      expect(answers.filter(Boolean)).toHaveLength(1);
    }
  });

  it('is renewed by its holder and refused to others, until it ends', async () => {
    expect(await hold('a', 'first')).toBe(true);
    for (let round = 0; round < 3; round += 1) {
      await ledger.passTime(5_000);
      expect(await hold('a', 'second')).toBe(false);
      expect(await hold('a', 'first')).toBe(true);
    }
    await ledger.passTime(6_001);
    expect(await hold('a', 'second')).toBe(true);
  });

  it('is lost to a holder who was frozen: the next call tells', async () => {
    await hold('b', 'frozen');
    await ledger.passTime(60_000);
    await hold('b', 'next');
    expect(await hold('b', 'frozen')).toBe(false);
    // What the frozen one gives back is not the lease of the other.
    await releaseLease(ledger.database, 'b', 'frozen');
    expect(await hold('b', 'frozen')).toBe(false);
    expect(await hold('b', 'next')).toBe(true);
  });

  it('that nobody wanted meanwhile is still its old holder’s, who may renew it late', async () => {
    await hold('c', 'late');
    await ledger.passTime(60_000);
    expect(await hold('c', 'late')).toBe(true);
  });

  it('that is given back is free at once', async () => {
    await hold('d', 'first');
    await releaseLease(ledger.database, 'd', 'first');
    expect(await hold('d', 'second')).toBe(true);
  });

  it('says nothing about others of another name', async () => {
    expect(await hold('e', 'first')).toBe(true);
    expect(await hold('f', 'second')).toBe(true);
  });
});
