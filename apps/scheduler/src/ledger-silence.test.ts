import type { Database } from '@millrace/ledger';
import type { Producer } from '@millrace/transport';
import { describe, expect, it } from 'vitest';
import { createLedgerSilence } from './ledger-silence.ts';
import { createReconciler } from './reconcile.ts';

const LEASE_MS = 12_000;

/** A process that asks the ledger every two seconds, as one that follows does. */
function setUp(askedEveryMs = 2_000) {
  const clock = { now: 1_000_000 };
  const silence = createLedgerSilence({
    now: () => clock.now,
    askedEveryMs,
    outageMs: 4_000,
    leaseMs: LEASE_MS,
  });
  return {
    clock,
    silence,
    /** Asks for so long, and gets an answer or none each time. */
    ask: (forMs: number, reached: boolean): void => {
      for (let ms = 0; ms < forMs; ms += askedEveryMs) {
        clock.now += askedEveryMs;
        silence.heard(reached);
      }
    },
  };
}

describe('a silence of the ledger', () => {
  it('is owed a new term when it was long, by a process that never led too', () => {
    const { silence, ask } = setUp();
    silence.heard(true);
    ask(20_000, true);
    expect(silence.owesTerm).toBe(false);
    ask(14_000, false);
    ask(2_000, true);
    expect(silence.owesTerm).toBe(true);
  });

  it('is owed one term, not two', () => {
    const { silence, ask } = setUp();
    silence.heard(true);
    ask(14_000, false);
    ask(2_000, true);
    silence.settle();
    expect(silence.owesTerm).toBe(false);
    ask(2_000, true);
    expect(silence.owesTerm).toBe(false);
  });

  it('is owed nothing when everybody who lives has had the time to renew', () => {
    const { silence, ask, clock } = setUp();
    silence.heard(true);
    ask(14_000, false);
    ask(2_000, true);
    ask(LEASE_MS - 2_000, true);
    clock.now += 1_999;
    expect(silence.owesTerm).toBe(true);
    clock.now += 1;
    expect(silence.owesTerm).toBe(false);
  });

  it('is owed nothing when it was short', () => {
    const { silence, clock } = setUp();
    silence.heard(true);
    clock.now += 2_000;
    silence.heard(false);
    clock.now += 1_999;
    silence.heard(true);
    expect(silence.owesTerm).toBe(false);
  });

  it('that was there when the process began counts as long', () => {
    const { silence, clock } = setUp();
    silence.heard(false);
    clock.now += 500;
    silence.heard(true);
    expect(silence.owesTerm).toBe(true);
  });

  it('is not taken for one when the first answer comes at once, or questions are far apart', () => {
    const { silence, ask } = setUp(10_000);
    expect(silence.owesTerm).toBe(false);
    silence.heard(true);
    expect(silence.owesTerm).toBe(false);
    ask(60_000, true);
    expect(silence.owesTerm).toBe(false);
  });

  it('is what a process has heard that was frozen with all others', () => {
    const { silence, ask, clock } = setUp();
    silence.heard(true);
    ask(10_000, true);
    clock.now += 15_000;
    expect(silence.owesTerm).toBe(true);
  });
});

describe('a scheduler that begins to lead after an outage', () => {
  /** What a sweep asks the ledger for, in order. */
  async function sweep(silence: ReturnType<typeof setUp>['silence']): Promise<string[]> {
    const asked: string[] = [];
    const database = {
      query: (text: string) => {
        asked.push(/^\s*(WITH held|SELECT|UPDATE)/.exec(text)?.[1] === 'WITH held' ? 'new term' : 'look');
        return Promise.resolve([]);
      },
    } as unknown as Database;
    const producer = {
      enqueueJobs: async () => undefined,
      enqueueSteps: async () => undefined,
      enqueueDeliveries: async () => undefined,
    } as unknown as Producer;
    const reconciler = createReconciler({
      database,
      producer,
      transportIsWhole: () => Promise.resolve(true),
      poolOf: ({ pool }) => pool,
      markTransport: async () => undefined,
      onLoss: () => undefined,
      onReconciled: () => undefined,
      silence,
      leaseMs: LEASE_MS,
    });
    await reconciler.sweep();
    return asked;
  }

  it('gives everybody a new term before it looks who seems dead, once', async () => {
    const { silence, ask } = setUp();
    silence.heard(true);
    ask(14_000, false);
    ask(2_000, true);
    const [first, ...rest] = await sweep(silence);
    expect(first).toBe('new term');
    expect(rest).not.toContain('new term');
    expect(await sweep(silence)).not.toContain('new term');
  });

  it('leaves leases as they are when there was none', async () => {
    const { silence } = setUp();
    silence.heard(true);
    expect(await sweep(silence)).not.toContain('new term');
  });
});
