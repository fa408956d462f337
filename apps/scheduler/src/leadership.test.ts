import { describe, expect, it } from 'vitest';
import { createLeadership } from './leadership.ts';

function setUp(hold: () => Promise<boolean>) {
  const clock = { now: 0 };
  const changes: boolean[] = [];
  const released: string[] = [];
  const heard: boolean[] = [];
  const leadership = createLeadership({
    leaseMs: 60_000,
    hold,
    release: async () => void released.push('released'),
    heard: (reached) => heard.push(reached),
    onChange: (leads) => changes.push(leads),
    onError: () => undefined,
    now: () => clock.now,
  });
  return { clock, changes, released, heard, leadership };
}

describe('leadership', () => {
  it('begins with the lease and is given back on stop', async () => {
    const { leadership, changes, released } = setUp(async () => true);
    await leadership.start();
    expect(leadership.leads).toBe(true);
    await leadership.stop();
    expect(leadership.leads).toBe(false);
    expect(changes).toEqual([true, false]);
    expect(released).toEqual(['released']);
  });

  it('ends by its own clock when the lease could not be renewed, as after a freeze', async () => {
    const { leadership, clock } = setUp(async () => true);
    await leadership.start();
    clock.now = 60_000;
    expect(leadership.leads).toBe(false);
    await leadership.stop();
  });

  it('does not begin while the ledger is away or another one leads, and then gives nothing back', async () => {
    const away = setUp(() => Promise.reject(new Error('away')));
    await away.leadership.start();
    expect(away.leadership.leads).toBe(false);
    await away.leadership.stop();
    const other = setUp(async () => false);
    await other.leadership.start();
    expect(other.leadership.leads).toBe(false);
    await other.leadership.stop();
    expect([...away.released, ...other.released]).toEqual([]);
    // Whoever follows hears of the ledger's silence as well as who leads.
    expect(away.heard).toEqual([false]);
    expect(other.heard).toEqual([true]);
  });
});
